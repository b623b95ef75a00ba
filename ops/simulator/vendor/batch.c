#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "ops/simulator/vendor/calls.h"
#include "ops/simulator/vendor/moment.h"
#include "ops/simulator/vendor/query.h"

#define SPLIT_SIZE_MIN UINT64_C(1000000000)
#define SPLIT_SIZE_MAX UINT64_C(10000000000)

/* --- jobs -------------------------------------------------------------------------------------------------------- */

static int read_split(struct job *job, const struct request *request, struct answer *answer)
{
	const char *split = request_text(request, "split_duration");

	job->split = SPLIT_DAY;
	job->split_symbols = request_flag(request, "split_symbols", false);
	if ((split && !job_split_parse(split, &job->split)) ||
	    !request_number(request, "split_size", &job->split_size) ||
	    (job->split_size > 0 && (job->split_size < SPLIT_SIZE_MIN || job->split_size > SPLIT_SIZE_MAX)) ||
	    (job->split_symbols && job->query->resolution.all)) {
		answer_case(answer, 422, "batch_invalid_split", "The split is not valid.", NULL);
		return -1;
	}
	return 0;
}

void batch_submit_job(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	CLEANUP(job_freep) struct job *job = mem_zalloc(1, sizeof(*job));
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	struct err err = ERR_INIT;
	struct job *added;

	job->query = mem_zalloc(1, sizeof(*job->query));
	if (query_open(job->query, simulator, request, answer) || read_split(job, request, answer))
		return;
	snprintf(job->base_url, sizeof(job->base_url), "%s://%s", simulator->options.tls ? "https" : "http",
		 request->host);
	added = STEAL(job);
	if (jobs_add(&simulator->jobs, added, &err)) {
		answer_detail(answer, 503, err.text);
		return;
	}
	pthread_mutex_lock(&simulator->jobs.lock);
	if (simulator->options.batch_polls == 0 && job_look(added, 0, &err))
		answer_detail(answer, 503, err.text);
	job_put(added, &json);
	pthread_mutex_unlock(&simulator->jobs.lock);
	if (err.kind == ERR_OK)
		answer_json(answer, &buf);
	buf_release(&buf);
}

/* Whether "queued,done" names the state; every state where nothing is named. */
static bool is_named(const char *states, const char *state)
{
	size_t n = strlen(state);

	for (const char *at = states; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncasecmp(at, state, n) == 0 && (at[n] == ',' || at[n] == '\0'))
			return true;
	}
	return !states;
}

static void put_short(const struct job *job, struct json_out *json)
{
	json_put_open(json, '{');
	json_put_key(json, "id");
	json_put_str(json, str_of(job->id));
	json_put_key(json, "state");
	json_put_str(json, str_of(job_state_name(job->state)));
	json_put_key(json, "ts_received");
	json_put_time(json, job->at[JOB_RECEIVED]);
	json_put_close(json, '}');
}

void batch_list_jobs(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	const char *states = request_text(request, "states"), *since = request_text(request, "since");
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	struct jobs *jobs = &simulator->jobs;
	struct err err = ERR_INIT;
	int64_t from = 0, unused;

	if (since && !moment_parse(since, &from, &unused)) {
		answer_detail(answer, 422, "since: a time is needed");
		return;
	}
	json_put_open(&json, '[');
	pthread_mutex_lock(&jobs->lock);
	for (uint32_t i = 0; i < jobs->count; i++) {
		struct job *job = jobs->list[i];

		if (strcmp(job->query->key, request->key) != 0 || job->at[JOB_RECEIVED] < from ||
		    job_look(job, simulator->options.batch_polls, &err) ||
		    !is_named(states, job_state_name(job->state)))
			continue;
		if (request_flag(request, "short", false))
			put_short(job, &json);
		else
			job_put(job, &json);
	}
	pthread_mutex_unlock(&jobs->lock);
	json_put_close(&json, ']');
	answer_json(answer, &buf);
}

/* With the lock held. NULL: the answer says why. */
static struct job *find(struct simulator *simulator, const struct request *request, const char *id,
			struct answer *answer)
{
	struct job *job = id ? jobs_find(&simulator->jobs, request->key, id) : NULL;

	if (!job)
		answer_case(answer, 404, "batch_job_not_found", "There is no such job.", NULL);
	return job;
}

void batch_get_job_details(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	struct err err = ERR_INIT;
	struct job *job;

	pthread_mutex_lock(&simulator->jobs.lock);
	job = find(simulator, request, request_text(request, "job_id"), answer);
	if (job && job_look(job, simulator->options.batch_polls, &err)) {
		answer_detail(answer, 503, err.text);
	} else if (job) {
		job_put(job, &json);
		answer_json(answer, &buf);
	}
	pthread_mutex_unlock(&simulator->jobs.lock);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static bool is_done(const struct job *job, struct answer *answer)
{
	if (job->state != JOB_DONE)
		answer_case(answer, 409, "batch_job_not_done", "The job is not done.", NULL);
	return job->state == JOB_DONE;
}

void batch_list_files(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	struct job *job;

	pthread_mutex_lock(&simulator->jobs.lock);
	job = find(simulator, request, request_text(request, "job_id"), answer);
	if (job && is_done(job, answer)) {
		job_put_files(job, &json);
		answer_json(answer, &buf);
	}
	pthread_mutex_unlock(&simulator->jobs.lock);
}

/* "bytes=100-199", "bytes=100-". False: it asks for nothing that is there. */
static bool parse_range(const char *range, int64_t size, int64_t *ret_first, int64_t *ret_end)
{
	int64_t last = size - 1;
	int fields = sscanf(range, "bytes=%" SCNd64 "-%" SCNd64, ret_first, &last);

	if (fields < 1 || *ret_first < 0 || *ret_first >= size || last < *ret_first)
		return false;
	*ret_end = last < size ? last + 1 : size;
	return true;
}

static void send_file(const struct request *request, int fd, int64_t size, struct answer *answer)
{
	int64_t first = 0, end = size;

	answer->content_type = "application/octet-stream";
	if (request->range[0] && !parse_range(request->range, size, &first, &end)) {
		close(fd);
		answer_detail(answer, 416, "Range Not Satisfiable");
		return;
	}
	if (request->range[0]) {
		answer->status = 206;
		snprintf(answer->range, sizeof(answer->range), "bytes %" PRId64 "-%" PRId64 "/%" PRId64, first, end - 1,
			 size);
	}
	answer->body = body_of_file(fd, first, end);
}

static const struct job_file *find_file(const struct job *job, const char *name)
{
	for (uint32_t i = 0; i < job->file_count; i++)
		if (strcmp(job->files[i].name, name) == 0)
			return &job->files[i];
	return NULL;
}

/* An open file of the job, *ret_size long; -1: the answer says why. */
static int open_file(struct simulator *simulator, const struct request *request, const char *id, const char *name,
		     int64_t *ret_size, struct answer *answer)
{
	struct job *job = find(simulator, request, id, answer);
	const struct job_file *file = job && is_done(job, answer) ? find_file(job, name) : NULL;
	CLEANUP(freep) char *path = NULL;
	int fd;

	if (!file) {
		if (job && job->state == JOB_DONE)
			answer_case(answer, 404, "batch_file_not_found", "There is no such file.", NULL);
		return -1;
	}
	path = mem_printf("%s/%s", job->folder, file->name);
	*ret_size = file->size;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		answer_detail(answer, 500, strerror(errno));
	return fd;
}

/* /v0/batch/download/{job}/{file} */
void batch_download_file(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	CLEANUP(freep) char *id = mem_strdup(request->path + strlen("/v0/batch/download/"));
	char *name = strchr(id, '/');
	int64_t size;
	int fd;

	*name++ = '\0';
	pthread_mutex_lock(&simulator->jobs.lock);
	fd = open_file(simulator, request, id, name, &size, answer);
	pthread_mutex_unlock(&simulator->jobs.lock);
	if (fd >= 0)
		send_file(request, fd, size, answer);
}

/* The archive has no name of its own any more once it is open. */
static int open_zip(const struct job *job, struct answer *answer)
{
	CLEANUP(freep) char *path = mem_printf("%s/.zip", job->folder);
	struct err err = ERR_INIT;
	int fd = -1;

	if (job_write_zip(job, path, &err))
		answer_detail(answer, 500, err.text);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	return fd;
}

void batch_download_zip(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct job *job;
	int fd = -1;

	pthread_mutex_lock(&simulator->jobs.lock);
	job = find(simulator, request, request_text(request, "job_id"), answer);
	if (job && is_done(job, answer))
		fd = open_zip(job, answer);
	pthread_mutex_unlock(&simulator->jobs.lock);
	if (fd >= 0)
		send_file(request, fd, lseek(fd, 0, SEEK_END), answer);
	if (fd >= 0 && answer->status < 300)
		answer->content_type = "application/zip";
}
