#include "stages/fetcher/job.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/dead_letter.h"
#include "common/fault.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/worker.h"
#include "stages/fetcher/metrics.h"

#define REST_NS (20 * NS_PER_MS)
#define ENCODED_MAX ((size_t)1024 * 1024)

struct job {
	const struct job_outputs *outputs;
	struct kafka_message message;
	struct fetch_task task;
	bool doomed;           /* it cannot even begin: `reason` says why */
	const char *exception; /* of its dead letter, should it fail */
	struct source *source;
	int64_t input_bytes; /* read by the time the source was closed */
	enum job_state state;
	struct cursor cursor;
	bool continued;             /* another process had begun the attempt */
	int64_t base;               /* items of the task that earlier attempts took, which were parked */
	int64_t behind;             /* items that stand before the cursor and are to be read past */
	const bool *trouble;        /* of the source's env: its vendor's trouble ended it */
	struct source_calls *calls; /* likewise; NULL: nobody counts them, or it was not opened */
	int64_t calls_max;          /* 0: as many as it takes */
	char reason[480];           /* why it failed or was abandoned */
	char *result;               /* what the source had to tell at its end; NULL: nothing */
	bool held;                  /* `item`, or `why`, was got from the source and is to be taken */
	struct source_item item;
	struct err why;
	int64_t ready_ns; /* the source gives nothing before; 0: it did when it was asked last */
	struct buf encoded;
};

void job_freep(struct job **pointer)
{
	struct job *job = *pointer;

	if (!job)
		return;
	source_freep(&job->source);
	fetch_task_release(&job->task);
	kafka_message_done(&job->message);
	buf_release(&job->encoded);
	free(job->result);
	free(job);
	*pointer = NULL;
}

enum job_state job_state(const struct job *job)
{
	return job->state;
}

bool job_has_called(const struct job *job)
{
	return job->calls && job->calls->made > 0;
}

const struct cursor *job_cursor(const struct job *job)
{
	return &job->cursor;
}

const struct kafka_message *job_message(const struct job *job)
{
	return &job->message;
}

struct kafka_message job_return(struct job **job)
{
	struct kafka_message message = (*job)->message;

	(*job)->message.handle = NULL;
	job_freep(job);
	return message;
}

static void end(struct job *job, enum job_state state, const char *reason)
{
	job->state = state;
	snprintf(job->reason, sizeof(job->reason), "%s", reason);
	job->input_bytes = job->source ? source_input_bytes(job->source) : 0;
	metric_add(&fetcher_metrics[FETCHER_INPUT_BYTES], job->input_bytes);
	job->ready_ns = 0;
	source_freep(&job->source);
	if (state == JOB_ABANDONED && !job->result)
		metric_add(&fetcher_metrics[FETCHER_TASKS_ABANDONED], 1);
}

/* --- dead letters ---------------------------------------------------------------------------------------------------- */

static int refuse(struct job *job, struct dead_letter *letter, struct str key, struct str value, struct err *err)
{
	letter->stage = "fetcher";
	letter->topic = job->message.topic;
	letter->partition = job->message.partition;
	letter->offset = job->message.offset;
	metric_add(&worker_metrics[WORKER_REJECTED], 1);
	return dead_letter_produce(job->outputs->producer, job->outputs->dlq, letter, key, value, err);
}

static int refuse_item(struct job *job, const struct source_item *item, struct err *err)
{
	struct dead_letter letter = DEAD_LETTER_INIT;

	letter.class = "decode_errors";
	letter.schema = item->schema;
	letter.symbol = item->symbol;
	letter.ts_event = item->ts_event;
	letter.message = str_of(item->message);
	letter.exception = "RecordNotDecoded";
	letter.lineage = (struct lineage){ job->cursor.attempt, job->cursor.fetched, job->cursor.as_of };
	letter.past = item->past;
	job->cursor.refused++;
	metric_add(&fetcher_metrics[FETCHER_REFUSED], 1);
	return refuse(job, &letter, item->symbol, item->bytes, err);
}

/* Of a task that is done again because it died: the letter that it was. */
static struct dead_letter_past past_of_task(const struct job *job)
{
	const char *parameters = job->task.parameters ? job->task.parameters : "";
	CLEANUP(json_freep) json_t *json = strstr(parameters, "\"letter\"") ? json_loads(parameters, 0, NULL) : NULL;
	json_int_t replays = 0, first = 0;

	if (json_unpack(json_object_get(json, "letter"), "[I, I]", &replays, &first) || replays < 0 ||
	    replays > INT32_MAX)
		return (struct dead_letter_past){ 0 };
	return (struct dead_letter_past){ (int32_t)replays, first };
}

/* The task itself: no source could be read, or not to its end. It is ordinal 0, outside the account. */
static int refuse_task(struct job *job, const char *reason, struct err *err)
{
	struct dead_letter letter = DEAD_LETTER_INIT;

	letter.class = "api_errors";
	letter.schema = job->task.schema ? job->task.schema : "";
	letter.message = str_of(reason);
	letter.exception = job->exception;
	letter.past = past_of_task(job);
	letter.lineage = (struct lineage){ job->cursor.attempt, 0, job->cursor.as_of };
	end(job, JOB_FAILED, reason);
	metric_add(&fetcher_metrics[FETCHER_TASKS_FAILED], 1);
	log_error("task_failed", LOG_FIELDS(log_i64("task", job->cursor.task), log_i64("attempt", job->cursor.attempt)),
		  "%s", reason);
	return refuse(job, &letter, job->message.key, job->message.value, err);
}

/* --- starting -------------------------------------------------------------------------------------------------------- */

static struct job *new_job(const struct job_outputs *outputs, struct kafka_message *message, const struct cursor *from)
{
	struct job *job = mem_zalloc(1, sizeof(*job));

	job->outputs = outputs;
	job->message = *message;
	message->handle = NULL; /* the job's from here on */
	job->encoded = (struct buf)BUF_INIT(ENCODED_MAX);
	job->exception = "TaskFailed";
	job->cursor = *from;
	return job;
}

static void doom(struct job *job, const char *why)
{
	job->doomed = true;
	job->behind = 0;
	snprintf(job->reason, sizeof(job->reason), "%s", why);
}

/* From the beginning: nothing of this attempt is committed. */
static void start_cursor(struct job *job)
{
	job->cursor = (struct cursor){
		.attempt = job->task.attempt,
		.task = job->task.task,
		.run = job->task.run,
		.as_of = clock_now_ns(),
	};
}

/* An earlier attempt of the task was parked: where this one begins. Where nothing was done by it there is no such place. */
static void start_parked(struct job *job, bool fresh)
{
	const char *parameters = job->task.parameters ? job->task.parameters : "";
	CLEANUP(json_freep) json_t *json = strstr(parameters, "\"parked\"") ? json_loads(parameters, 0, NULL) : NULL;
	const char *identity, *resume;
	json_int_t items;

	if (job_subscription(job) == NULL ||
	    json_unpack(json_object_get(json, "parked"), "{s:s, s:s, s:I}", "identity", &identity, "resume", &resume,
			"items", &items) ||
	    strlen(identity) >= sizeof(job->cursor.identity) || strlen(resume) >= sizeof(job->cursor.resume) ||
	    items < 0)
		return;
	job->base = items;
	if (!fresh)
		return;
	snprintf(job->cursor.identity, sizeof(job->cursor.identity), "%s", identity);
	snprintf(job->cursor.resume, sizeof(job->cursor.resume), "%s", resume);
}

static int64_t calls_max_of(const struct job *job)
{
	const char *parameters = job->task.parameters ? job->task.parameters : "";
	CLEANUP(json_freep) json_t *json = strstr(parameters, "\"calls_max\"") ? json_loads(parameters, 0, NULL) : NULL;
	json_int_t max = json_integer_value(json_object_get(json, "calls_max"));

	return max > 0 ? max : 0;
}

static void start(struct job *job, bool fresh)
{
	job->calls_max = calls_max_of(job);
	job->continued = !fresh;
	if (fresh)
		start_cursor(job);
	start_parked(job, fresh);
}

struct job *job_new(const struct job_outputs *outputs, struct kafka_message *message, const struct cursor *from)
{
	struct job *job = new_job(outputs, message, from);
	struct err why = ERR_INIT;

	fault_point("task_decode");
	if (fetch_task_decode(job->message.value, &job->task, &why) == 0 && job->task.attempt <= 0)
		err_set(&why, ERR_RECORD, "attempt %" PRId64 ": attempts are numbered from 1", job->task.attempt);
	if (why.kind != ERR_OK)
		doom(job, why.text);
	else
		start(job, from->attempt != job->task.attempt || !from->identity[0]);
	job->continued = job->continued || from->starts > 1;
	return job;
}

struct job *job_new_crashed(const struct job_outputs *outputs, struct kafka_message *message, const struct cursor *from)
{
	struct job *job = new_job(outputs, message, from);
	char why[160];

	snprintf(why, sizeof(why),
		 "crashed the stage: %" PRId64 " starts in a row did not get past record %" PRId64 " of the task",
		 from->starts, from->fetched);
	doom(job, why);
	job->exception = "StageCrashed";
	return job;
}

static int open_source(struct job *job, const struct source_env *env, struct err *err)
{
	const char *identity;

	if (source_open(&job->source, env, &job->task, job->cursor.resume, err))
		return -1;
	identity = source_identity(job->source);
	job->behind = source_begins_behind(job->source) ? 0 : job->base + job->cursor.fetched + job->cursor.skipped;
	if (job->cursor.identity[0] && strcmp(job->cursor.identity, identity) != 0)
		end(job, JOB_ABANDONED, "the source changed while it was read");
	else
		snprintf(job->cursor.identity, sizeof(job->cursor.identity), "%s", identity);
	return 0;
}

/*
 * Of a task that may make only so many. What another process made is not known: such an attempt ends, and counts as all
 * that it might have made.
 */
static void count_calls(struct job *job, struct source_calls *calls)
{
	if (calls)
		*calls =
			(struct source_calls){ .max = job->calls_max, .unknown = job->calls_max > 0 && job->continued };
	job->calls = job->calls_max > 0 ? calls : NULL;
}

int job_open(struct job *job, const struct source_env *env, struct err *err)
{
	struct err why = ERR_INIT;

	if (job->doomed)
		return 0;
	job->trouble = env->trouble;
	if (env->trouble)
		*env->trouble = false;
	count_calls(job, env->calls);
	if (job->calls && job->calls->unknown) {
		job_park(job, "parked: how many calls it made is not known any more");
		return 0;
	}
	fault_point("task_open");
	fault_point(job->task.subscription); /* one of many */
	if (open_source(job, env, &why)) {
		if (why.kind != ERR_RECORD) {
			*err = why;
			return err_wrap(err, "task %" PRId64, job->task.task);
		}
		doom(job, why.text);
	}
	log_info("task_started",
		 LOG_FIELDS(log_i64("task", job->task.task), log_i64("attempt", job->task.attempt),
			    log_str("subscription", job->task.subscription), log_str("path", job->task.path),
			    log_i64("from_record", job->cursor.fetched)),
		 "task %" PRId64 " of %s %s", job->task.task, job->task.subscription ? job->task.subscription : "?",
		 job->cursor.fetched + job->cursor.skipped > 0 ? "goes on" : "begins");
	return 0;
}

bool job_catching_up(const struct job *job)
{
	return job->state == JOB_RUNNING && job->behind > 0;
}

/* --- parking --------------------------------------------------------------------------------------------------------- */

/* One that was never opened made none. */
static void put_calls(const struct job *job, json_t *told)
{
	if (job->calls_max > 0 && !job->continued)
		json_object_set_new(told, "calls", json_integer(job->calls ? job->calls->made : 0));
}

/* For the event that ends the attempt. */
static char *place_told(const struct job *job, bool trouble)
{
	const struct cursor *cursor = &job->cursor;
	CLEANUP(json_freep)
	json_t *told = json_pack("{s:{s:s, s:s, s:I}}", "parked", "identity", cursor->identity, "resume",
				 cursor->resume, "items", (json_int_t)(job->base + cursor->fetched + cursor->skipped));

	if (trouble)
		json_object_set_new(told, "trouble", json_true());
	put_calls(job, told);
	return json_dumps(told, JSON_COMPACT);
}

const char *job_subscription(const struct job *job)
{
	return job->task.source && strcmp(job->task.source, "kafka") == 0 ? NULL : job->task.subscription;
}

void job_park(struct job *job, const char *why)
{
	if (job->doomed || job->state != JOB_RUNNING)
		return;
	job->result = place_told(job, false);
	job->held = false;
	job->behind = 0;
	metric_add(&fetcher_metrics[FETCHER_TASKS_PARKED], 1);
	log_info("task_parked",
		 LOG_FIELDS(log_i64("task", job->cursor.task), log_i64("attempt", job->cursor.attempt),
			    log_str("subscription", job->task.subscription), log_i64("record", job->cursor.fetched)),
		 "task %" PRId64 " is parked behind record %" PRId64, job->cursor.task, job->cursor.fetched);
	end(job, JOB_ABANDONED, why);
}

/* --- what the source gives ------------------------------------------------------------------------------------------- */

/* Gets the next item, unless one is there; false: nothing now. */
static bool hold(struct job *job)
{
	if (job->held)
		return true;
	err_clear(&job->why);
	job->ready_ns = 0;
	if (source_next(job->source, &job->item, &job->why) == 0 && job->item.kind == SOURCE_LATER) {
		job->ready_ns = job->item.ready_ns;
		return false;
	}
	job->held = true;
	return true;
}

bool job_is_ready(struct job *job)
{
	return job->doomed || job->state != JOB_RUNNING || hold(job);
}

bool job_rest(struct job *job)
{
	if (job->doomed || job->state != JOB_RUNNING)
		return false;
	job->ready_ns = clock_monotonic_ns() + REST_NS;
	return true;
}

bool job_waits(const struct job *job)
{
	return job->ready_ns > 0;
}

int64_t job_ready_ns(const struct job *job)
{
	return job->ready_ns;
}

int job_catch_up(struct job *job, unsigned items, struct err *err)
{
	for (; items > 0 && job->behind > 0 && hold(job); items--) {
		job->held = false;
		job->behind -= job->item.kind != SOURCE_MARK;
		if (job->why.kind == ERR_OK && job->item.kind == SOURCE_END)
			err_set(&job->why, ERR_RECORD, "the source ends before record %" PRId64, job->cursor.fetched);
		if (job->why.kind == ERR_RECORD) {
			end(job, JOB_ABANDONED, job->why.text);
			return 0;
		}
		if (job->why.kind != ERR_OK) {
			*err = job->why;
			return -1;
		}
	}
	return 0;
}

/* --- working --------------------------------------------------------------------------------------------------------- */

static int produce_record(struct job *job, const struct source_item *item, struct err *err)
{
	struct kafka_topic *raw = job->outputs->data[DATA_RAW][data_type_of(item->type)];

	*item->lineage = (struct lineage){ job->cursor.attempt, job->cursor.fetched, job->cursor.as_of };
	buf_reset(&job->encoded);
	record_encode(item->type, item->record, &job->encoded);
	return kafka_produce(job->outputs->producer, raw, kafka_partition(item->symbol, kafka_topic_partitions(raw)),
			     item->symbol, buf_str(&job->encoded), NULL, 0, err);
}

/* When its vendor was read stays as it was: what is put back late is no newer for that. */
static int produce_message(struct job *job, const struct source_item *item, struct err *err)
{
	struct kafka_topic *topic = job->outputs->data[item->stage][item->data];
	struct dead_letter_carried carried;

	dead_letter_carry(&item->past, &carried);
	buf_reset(&job->encoded);
	if (!record_renumber(item->bytes, job->cursor.attempt, job->cursor.fetched, &job->encoded))
		return err_set(err, ERR_FATAL, "a message without lineage cannot be put back");
	return kafka_produce(job->outputs->producer, topic,
			     kafka_partition(item->symbol, kafka_topic_partitions(topic)), item->symbol,
			     buf_str(&job->encoded), carried.list, carried.count, err);
}

/* What the source tells, and how often it called where somebody counts. */
static char *result_told(const struct job *job, const char *told)
{
	CLEANUP(json_freep) json_t *json = job->calls ? json_loads(told[0] ? told : "{}", 0, NULL) : NULL;

	if (!json)
		return mem_strdup(told);
	put_calls(job, json);
	return json_dumps(json, JSON_COMPACT);
}

static void finish(struct job *job)
{
	job->result = result_told(job, source_result(job->source));
	end(job, JOB_DONE, "");
	metric_add(&fetcher_metrics[FETCHER_TASKS_DONE], 1);
}

static int take_item(struct job *job, const struct source_item *item, struct err *err)
{
	switch (item->kind) {
	case SOURCE_END:
		finish(job);
		return 0;
	case SOURCE_CHANGED:
		end(job, JOB_ABANDONED, item->message);
		if (job->calls)
			job->result = result_told(job, "");
		return 0;
	case SOURCE_MARK:
	case SOURCE_LATER: /* never held */
		return 0;
	case SOURCE_SKIPPED:
		job->cursor.skipped++;
		return 0;
	case SOURCE_REFUSED:
		job->cursor.fetched++;
		return refuse_item(job, item, err);
	case SOURCE_MESSAGE:
		job->cursor.fetched++;
		metric_add(&fetcher_metrics[FETCHER_RECORDS], 1);
		return produce_message(job, item, err);
	case SOURCE_RECORD:
		job->cursor.fetched++;
		metric_add(&fetcher_metrics[FETCHER_RECORDS], 1);
		return produce_record(job, item, err);
	}
	return 0;
}

/* Where the source stands behind the last item that was taken. */
static void note_place(struct job *job)
{
	snprintf(job->cursor.resume, sizeof(job->cursor.resume), "%s", source_resume(job->source));
}

static int take_held(struct job *job, struct err *err)
{
	job->held = false;
	if (job->why.kind == ERR_OK)
		return take_item(job, &job->item, err);
	if (job->why.kind == ERR_RECORD) {
		note_place(job);
		if (job->calls && job->calls->used_up) {
			job_park(job, "parked: it may make no more calls");
			return 0;
		}
		if (job->trouble && *job->trouble)
			job->result = place_told(job, true);
		else if (job->calls)
			job->result = result_told(job, "");
		return refuse_task(job, job->why.text, err);
	}
	*err = job->why;
	return -1;
}

int job_work(struct job *job, unsigned items, struct err *err)
{
	if (job->doomed) {
		err_set(&job->why, ERR_RECORD, "%s", job->reason);
		return refuse_task(job, job->why.text, err);
	}
	fault_point("task_item");
	for (bool marked = false; items > 0 && !marked && job->state == JOB_RUNNING && hold(job); items--) {
		marked = job->item.kind == SOURCE_MARK;
		if (take_held(job, err))
			return -1;
	}
	/* One that is held was got, so the source says where it stands behind it. */
	if (job->source && !job->held)
		note_place(job);
	return 0;
}

/* --- reporting ------------------------------------------------------------------------------------------------------- */

int job_report(struct job *job, struct err *err)
{
	static const enum attempt_state states[] = {
		[JOB_RUNNING] = ATTEMPT_RUNNING,
		[JOB_DONE] = ATTEMPT_DONE,
		[JOB_FAILED] = ATTEMPT_FAILED,
		[JOB_ABANDONED] = ATTEMPT_ABANDONED,
	};
	char key[24];
	const struct task_event event = {
		.attempt = job->cursor.attempt,
		.task = job->cursor.task,
		.run = job->cursor.run,
		.state = states[job->state],
		.fetched = job->cursor.fetched,
		.refused = job->cursor.refused,
		.skipped = job->cursor.skipped,
		.input_bytes = job->source ? source_input_bytes(job->source) : job->input_bytes,
		.worker = (char *)job->outputs->worker,
		.ts = clock_now_ns(),
		.message = job->reason,
		.result = job->result ? job->result : (char *)"",
	};

	if (event.attempt == 0)
		return 0; /* nobody's */
	snprintf(key, sizeof(key), "%" PRId64, event.attempt);
	buf_reset(&job->encoded);
	if (task_event_encode(&event, &job->encoded, err))
		return -1;
	return kafka_produce(job->outputs->producer, job->outputs->events, 0, str_of(key), buf_str(&job->encoded), NULL,
			     0, err);
}
