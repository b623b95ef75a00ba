/*
 * batch.*: a window's records as files that the vendor prepares. The job is
 * looked for before one is submitted, and kept in the cursor once it is
 * known, so that a window is not bought twice; each file is fetched whole,
 * gone on with where its transfer breaks, and checked before it is read.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/formats/format.h"
#include "stages/fetcher/sources/databento/account.h"
#include "stages/fetcher/sources/databento/actions.h"
#include "stages/fetcher/sources/databento/batch_job.h"
#include "stages/fetcher/sources/databento/delivery.h"
#include "stages/fetcher/sources/databento/request.h"
#include "stages/fetcher/sources/databento/spool.h"

#define FILES_MAX 10000
#define COPY_BYTES 65536
#define COPY_TURN 64 /* of these at most before others have their turn */

enum state {
	STATE_FIND,     /* a job of this very window, submitted by one who did not live to say so */
	STATE_SUBMIT,   /* there is none */
	STATE_PREPARED, /* the vendor works on it */
	STATE_LIST,     /* which files it has */
	STATE_DOWNLOAD,
	STATE_READ,
	STATE_ENDED,
};

struct batch_file {
	char *name;
	int64_t size;
	char hash[SPOOL_HASH_MAX];
};

struct batch {
	struct source base;
	const struct source_env *env;
	const struct fetch_task *task;
	struct databento_call call;
	enum state state;
	char job[BATCH_NAME_MAX];
	bool mark; /* the job is to be committed before anything else */
	char path[2 * BATCH_NAME_MAX + 32];
	struct batch_file *files;
	unsigned file_count, at;
	struct spool *spool;
	struct format *format;
	struct delivery delivery;
	char resume[SOURCE_RESUME_MAX];
};

static int bad(const struct batch *self, const char *what, struct err *err)
{
	return err_set(err, ERR_RECORD, "databento: %s: the answer has no %s", self->call.name, what);
}

/* --- asking ------------------------------------------------------------------------------------------------------------ */

static void ask_jobs(struct batch *self)
{
	self->state = STATE_FIND;
	databento_call_begin(&self->call, DATABENTO_GET, "batch.list_jobs");
	databento_call_field(&self->call, "states", STR_LIT("received,queued,processing,done"));
}

static void ask_submit(struct batch *self)
{
	self->state = STATE_SUBMIT;
	databento_call_begin(&self->call, DATABENTO_POST, "batch.submit_job");
	databento_put_request(&self->call, self->task, self->task->start, self->delivery.end);
	databento_call_field(&self->call, "encoding", STR_LIT("dbn"));
	databento_call_field(&self->call, "compression", STR_LIT("zstd"));
	databento_call_field(&self->call, "split_duration", STR_LIT("month"));
	databento_call_field(&self->call, "delivery", STR_LIT("download"));
}

static void ask_details(struct batch *self)
{
	self->state = STATE_PREPARED;
	databento_call_begin(&self->call, DATABENTO_GET, "batch.get_job_details");
	databento_call_field(&self->call, "job_id", str_of(self->job));
}

static void ask_files(struct batch *self)
{
	self->state = STATE_LIST;
	databento_call_begin(&self->call, DATABENTO_GET, "batch.list_files");
	databento_call_field(&self->call, "job_id", str_of(self->job));
}

static int ask_file(struct batch *self, struct err *err)
{
	if (self->at == self->file_count) {
		self->state = STATE_ENDED;
		return 0;
	}
	self->state = STATE_DOWNLOAD;
	snprintf(self->path, sizeof(self->path), "batch/download/%s/%s", self->job, self->files[self->at].name);
	databento_call_begin(&self->call, DATABENTO_GET, self->path);
	self->call.streamed = true;
	if (!self->spool)
		return spool_open(&self->spool, self->env->spool, err);
	return spool_clear(self->spool, err);
}

/* --- jobs ---------------------------------------------------------------------------------------------------------------- */

static int take_job(struct batch *self, const json_t *job, struct err *err)
{
	const char *id = json_string_value(json_object_get(job, "id"));

	if (!batch_name_is_plain(id))
		return bad(self, "id of a job", err);
	snprintf(self->job, sizeof(self->job), "%s", id);
	log_info("batch_job", LOG_FIELDS(log_i64("task", self->task->task), log_str("job", id)),
		 "the vendor prepares the files of job %s", id);
	self->mark = true;
	ask_details(self);
	return 0;
}

static int take_jobs(struct batch *self, const json_t *jobs, struct err *err)
{
	size_t i;
	json_t *job;

	json_array_foreach(jobs, i,
			   job) if (batch_job_is(job, self->task, self->delivery.end)) return take_job(self, job, err);
	ask_submit(self);
	return 0;
}

static int take_details(struct batch *self, const json_t *job, struct err *err)
{
	const char *state = json_string_value(json_object_get(job, "state"));
	const json_t *records = json_object_get(job, "record_count");

	if (!state)
		return bad(self, "state of the job", err);
	if (strcmp(state, "expired") == 0)
		return err_set(err, ERR_RECORD, "databento: batch job %s has expired", self->job);
	if (strcmp(state, "done") != 0) {
		ask_details(self);
		self->call.not_before_ns = clock_monotonic_ns() + self->env->databento->poll_ms * NS_PER_MS;
		return 0;
	}
	if (json_is_integer(records))
		self->delivery.expected = json_integer_value(records);
	ask_files(self);
	return 0;
}

/* --- files ----------------------------------------------------------------------------------------------------------------- */

static bool is_data(const char *name)
{
	size_t n = strlen(name);

	return (n > 4 && strcmp(name + n - 4, ".dbn") == 0) || (n > 8 && strcmp(name + n - 8, ".dbn.zst") == 0);
}

static int add_file(struct batch *self, const json_t *file, struct err *err)
{
	const char *name = json_string_value(json_object_get(file, "filename"));
	const char *hash = json_string_value(json_object_get(file, "hash"));
	const json_t *size = json_object_get(file, "size");
	struct batch_file *to = &self->files[self->file_count];

	if (!batch_name_is_plain(name) || !hash || strlen(hash) >= sizeof(to->hash) || !json_is_integer(size))
		return bad(self, "name, size and hash of each file", err);
	if (!is_data(name))
		return 0;
	*to = (struct batch_file){ .name = mem_strdup(name), .size = json_integer_value(size) };
	snprintf(to->hash, sizeof(to->hash), "%s", hash);
	self->file_count++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct batch_file *)a)->name, ((const struct batch_file *)b)->name);
}

/* In the order of their names, which is that of their days. */
static int take_files(struct batch *self, const json_t *files, struct err *err)
{
	size_t count = json_array_size(files), i;
	json_t *file;

	if (!json_is_array(files) || count > FILES_MAX)
		return bad(self, "list of files", err);
	self->files = mem_zalloc(count + 1, sizeof(*self->files));
	json_array_foreach(files, i, file) if (add_file(self, file, err)) return -1;
	qsort(self->files, self->file_count, sizeof(*self->files), by_name);
	return ask_file(self, err);
}

static int refused(struct batch *self, struct err *err)
{
	if (self->state != STATE_SUBMIT || !databento_clip(&self->call.refusal, &self->delivery.end))
		return databento_refused(&self->call, err);
	if (self->delivery.end > self->task->start) {
		ask_jobs(self);
		return 0;
	}
	self->delivery.end = self->task->start;
	self->delivery.expected = 0;
	self->state = STATE_ENDED;
	return 0;
}

static int answered(struct batch *self, struct err *err)
{
	CLEANUP(json_freep) json_t *json = NULL;

	if (self->state == STATE_DOWNLOAD)
		return 0;
	json = databento_call_json(&self->call, err);
	if (!json)
		return -1;
	switch (self->state) {
	case STATE_FIND:
		return take_jobs(self, json, err);
	case STATE_SUBMIT:
		return take_job(self, json, err);
	case STATE_PREPARED:
		return take_details(self, json, err);
	default:
		return take_files(self, json, err);
	}
}

/* --- one file ---------------------------------------------------------------------------------------------------------------- */

static void open_file(struct batch *self)
{
	const struct byte_input input = { spool_read, self->spool };

	self->delivery.billed += spool_size(self->spool);
	format_dbn_open_input(&self->format, self->path, &input, self->task);
	self->state = STATE_READ;
}

/* The transfer broke off: the rest is asked for. What is not the file at all, whole again. */
static int again(struct batch *self, const struct err *why, struct err *err)
{
	if (why->kind == ERR_RECORD && spool_clear(self->spool, err))
		return -1;
	self->call.range_from = spool_size(self->spool);
	return databento_call_again(&self->call, why->text, err);
}

/* 1: nothing now, 0: go on. */
static int download(struct batch *self, struct err *err)
{
	const struct batch_file *file = &self->files[self->at];
	uint8_t bytes[COPY_BYTES];
	struct err why = ERR_INIT;
	ssize_t n = BYTE_INPUT_LATER;

	for (unsigned i = 0; i < COPY_TURN; i++) {
		n = databento_call_input(&self->call, bytes, sizeof(bytes), &why);
		if (n <= 0)
			break;
		databento_call_progress(&self->call);
		if (spool_put(self->spool, bytes, (size_t)n, err))
			return -1;
	}
	if (n == BYTE_INPUT_LATER)
		return 1;
	if (n > 0)
		return 0;
	if (why.kind != ERR_OK || spool_check(self->spool, file->size, file->hash, &why))
		return again(self, &why, err);
	open_file(self);
	return 0;
}

static int read_file(struct batch *self, struct source_item *ret_item, struct err *err)
{
	if (self->format->ops->next(self->format, ret_item, err))
		return -1;
	delivery_take_names(&self->delivery, format_dbn_metadata(self->format));
	if (ret_item->kind != SOURCE_END) {
		delivery_take(&self->delivery, ret_item);
		return 1;
	}
	format_freep(&self->format);
	self->at++;
	return ask_file(self, err);
}

/* --- the source ---------------------------------------------------------------------------------------------------------------- */

static int later(struct source_item *ret_item, int64_t ready_ns)
{
	*ret_item = (struct source_item){ .kind = SOURCE_LATER, .ready_ns = ready_ns };
	return 1;
}

/* 1: there is an item, 0: the state is another one. */
static int step(struct batch *self, struct source_item *ret_item, struct err *err)
{
	enum call_step outcome;
	int64_t ready_ns;
	int got;

	if (self->state == STATE_READ)
		return read_file(self, ret_item, err);
	if (self->state == STATE_DOWNLOAD && self->call.answered) {
		got = download(self, err);
		return got == 1 ? later(ret_item, INT64_MAX) : got;
	}
	if (databento_call_step(&self->call, &outcome, &ready_ns, err))
		return -1;
	if (outcome == CALL_LATER)
		return later(ret_item, ready_ns);
	return outcome == CALL_REFUSED ? refused(self, err) : answered(self, err);
}

static int batch_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	struct batch *self = (struct batch *)source;
	int outcome = 0;

	while (outcome == 0 && self->state != STATE_ENDED && !self->mark)
		outcome = step(self, ret_item, err);
	if (outcome == 0) {
		*ret_item = (struct source_item){ .kind = self->mark ? SOURCE_MARK : SOURCE_END };
		self->mark = false;
	}
	return outcome < 0 ? -1 : 0;
}

static const char *batch_identity(const struct source *source)
{
	(void)source;
	return "batch.submit_job";
}

static int64_t batch_input_bytes(const struct source *source)
{
	return ((const struct batch *)source)->delivery.billed;
}

static const char *batch_resume(const struct source *source)
{
	struct batch *self = (struct batch *)source;

	self->resume[0] = '\0';
	if (self->job[0])
		snprintf(self->resume, sizeof(self->resume), "{\"job\":\"%s\",\"end\":%" PRId64 "}", self->job,
			 self->delivery.end);
	return self->resume;
}

static int read_resume(struct batch *self, const char *text, struct err *err)
{
	CLEANUP(json_freep) json_t *json = json_loads(text, 0, NULL);
	const char *job;
	json_int_t end;

	if (!json || json_unpack(json, "{s:s, s:I}", "job", &job, "end", &end) || !batch_name_is_plain(job))
		return err_set(err, ERR_RECORD, "databento: the cursor names no batch job: %.200s", text);
	snprintf(self->job, sizeof(self->job), "%s", job);
	self->delivery.end = end;
	return 0;
}

static const char *batch_result(struct source *source)
{
	return delivery_result(&((struct batch *)source)->delivery);
}

static void batch_free(struct source *source)
{
	struct batch *self = (struct batch *)source;

	format_freep(&self->format); /* it reads from the spool */
	spool_freep(&self->spool);
	databento_call_release(&self->call);
	delivery_release(&self->delivery);
	for (unsigned i = 0; i < self->file_count; i++)
		free(self->files[i].name);
	free(self->files);
	free(self);
}

static const struct source_ops batch_ops = {
	.name = "databento",
	.next = batch_next,
	.identity = batch_identity,
	.input_bytes = batch_input_bytes,
	.free = batch_free,
	.resume = batch_resume,
	.result = batch_result,
};

int databento_open_batch(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			 const char *resume, struct err *err)
{
	struct batch *self = mem_zalloc(1, sizeof(*self));
	CLEANUP(source_freep) struct source *source = &self->base;

	source->ops = &batch_ops;
	self->env = env;
	self->task = task;
	delivery_init(&self->delivery, task->end);
	databento_call_init(&self->call, env);
	if (resume[0] && read_resume(self, resume, err))
		return -1;
	if (self->job[0])
		ask_details(self);
	else
		ask_jobs(self);
	*ret = STEAL(source);
	return 0;
}
