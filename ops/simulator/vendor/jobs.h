#pragma once
/* Batch jobs and their files, in a folder of their own that goes when the simulator ends. */
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "ops/simulator/vendor/request.h"

#define JOBS_MAX 1000
#define JOB_ID_MAX 40
#define JOB_FILE_NAME_MAX 128
#define JOB_FILES_MAX 10000

struct query;

enum job_state { JOB_RECEIVED, JOB_QUEUED, JOB_PROCESSING, JOB_DONE, JOB_STATES };
enum job_split { SPLIT_DAY, SPLIT_WEEK, SPLIT_MONTH, SPLIT_YEAR, SPLIT_NONE, SPLITS };

struct job_file {
	char name[JOB_FILE_NAME_MAX];
	char sha256[65];
	uint32_t crc32;
	int64_t size;
};

struct job {
	char id[JOB_ID_MAX];
	struct query *query;
	enum job_state state;
	uint32_t looks; /* how often somebody asked */
	enum job_split split;
	bool split_symbols;
	uint64_t split_size; /* kept, not applied */
	char *folder;
	char base_url[256];
	struct job_file *files;
	uint32_t file_count;
	uint64_t records;
	int64_t actual_size, package_size;
	int64_t at[JOB_STATES]; /* when it came into each state; 0: not yet */
};

struct jobs {
	pthread_mutex_t lock;
	char folder[64]; /* empty: not made yet */
	struct job *list[JOBS_MAX];
	uint32_t count;
};

void jobs_open(struct jobs *jobs);
void jobs_release(struct jobs *jobs);

const char *job_state_name(enum job_state state);
const char *job_split_name(enum job_split split);
bool job_split_parse(const char *text, enum job_split *ret);

/* Takes the job over. ERR_RETRY: too many, or no folder. */
int jobs_add(struct jobs *jobs, struct job *job, struct err *err);

/* With the lock held: one of this key's jobs; NULL: none. */
struct job *jobs_find(struct jobs *jobs, const char *key, const char *id);

void job_freep(struct job **job);

/* Makes the files. */
int job_produce(struct job *job, struct err *err);

/* One more look; makes the files when it is time. */
int job_look(struct job *job, uint32_t polls, struct err *err);

struct json_out;
void job_put(const struct job *job, struct json_out *json);
void job_put_files(const struct job *job, struct json_out *json);

/* All files in one archive, stored; under this path. */
int job_write_zip(const struct job *job, const char *path, struct err *err);
