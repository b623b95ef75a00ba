#include "ops/simulator/vendor/jobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "ops/simulator/market/chance.h"
#include "ops/simulator/vendor/query.h"

static const char *const state_names[JOB_STATES] = { "received", "queued", "processing", "done" };
static const char *const split_names[SPLITS] = { "day", "week", "month", "year", "none" };

const char *job_state_name(enum job_state state)
{
	return state_names[state];
}

const char *job_split_name(enum job_split split)
{
	return split_names[split];
}

bool job_split_parse(const char *text, enum job_split *ret)
{
	for (unsigned i = 0; i < SPLITS; i++)
		if (strcmp(text, split_names[i]) == 0) {
			*ret = (enum job_split)i;
			return true;
		}
	return false;
}

void jobs_open(struct jobs *jobs)
{
	pthread_mutex_init(&jobs->lock, NULL);
}

/* Its files and its folder. */
static void remove_files(const struct job *job)
{
	for (uint32_t i = 0; i < job->file_count; i++) {
		char *path = mem_printf("%s/%s", job->folder, job->files[i].name);

		unlink(path);
		free(path);
	}
	rmdir(job->folder);
}

void job_freep(struct job **job)
{
	struct job *self = *job;

	*job = NULL;
	if (!self)
		return;
	if (self->folder)
		remove_files(self);
	if (self->query)
		query_release(self->query);
	free(self->query);
	free(self->folder);
	free(self->files);
	free(self);
}

void jobs_release(struct jobs *jobs)
{
	for (uint32_t i = 0; i < jobs->count; i++)
		job_freep(&jobs->list[i]);
	if (jobs->folder[0])
		rmdir(jobs->folder);
	pthread_mutex_destroy(&jobs->lock);
}

static int make_folder(struct jobs *jobs, struct err *err)
{
	const char *tmp = getenv("TMPDIR");

	if (jobs->folder[0])
		return 0;
	snprintf(jobs->folder, sizeof(jobs->folder), "%.30s/penstock-simulator.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (mkdtemp(jobs->folder))
		return 0;
	jobs->folder[0] = '\0';
	return err_set(err, ERR_RETRY, "no folder for batch files: %s", strerror(errno));
}

/* XNAS-20241101-7K2QD9M4XC, as the vendor names them. */
static void name_job(const struct jobs *jobs, struct job *job)
{
	static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	uint64_t chance_bits = chance(job->query->simulator->options.market.seed, jobs->count);
	struct civil today = clock_civil(clock_day_of(clock_now_ns()));
	const char *dataset = job->query->dataset->name;
	char code[11] = "";

	for (unsigned i = 0; i < sizeof(code) - 1; i++, chance_bits >>= 5)
		code[i] = letters[chance_bits & 31];
	snprintf(job->id, sizeof(job->id), "%.4s-%04d%02u%02u-%s", dataset, today.year % 10000, today.month % 100u,
		 today.day % 100u, code);
}

static int enter(struct jobs *jobs, struct job *job, struct err *err)
{
	if (jobs->count == JOBS_MAX)
		return err_set(err, ERR_RETRY, "%d jobs are kept, not more", JOBS_MAX);
	if (make_folder(jobs, err))
		return -1;
	name_job(jobs, job);
	job->folder = mem_printf("%s/%s", jobs->folder, job->id);
	if (mkdir(job->folder, 0700) != 0)
		return err_set(err, ERR_RETRY, "%s: %s", job->folder, strerror(errno));
	job->at[JOB_RECEIVED] = clock_now_ns();
	jobs->list[jobs->count++] = job;
	return 0;
}

int jobs_add(struct jobs *jobs, struct job *job, struct err *err)
{
	int added;

	pthread_mutex_lock(&jobs->lock);
	added = enter(jobs, job, err);
	pthread_mutex_unlock(&jobs->lock);
	if (added)
		job_freep(&job);
	return added;
}

struct job *jobs_find(struct jobs *jobs, const char *key, const char *id)
{
	for (uint32_t i = 0; i < jobs->count; i++)
		if (strcmp(jobs->list[i]->id, id) == 0 && strcmp(jobs->list[i]->query->key, key) == 0)
			return jobs->list[i];
	return NULL;
}

int job_look(struct job *job, uint32_t polls, struct err *err)
{
	enum job_state state = JOB_DONE;

	if (job->state == JOB_DONE)
		return 0;
	if (job->looks < polls)
		state = (enum job_state)((uint64_t)job->looks * JOB_DONE / polls);
	job->looks++;
	for (unsigned i = 0; i <= state; i++)
		if (job->at[i] == 0)
			job->at[i] = clock_now_ns();
	if (state == JOB_DONE && job_produce(job, err))
		return -1;
	job->state = state;
	return 0;
}
