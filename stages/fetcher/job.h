#pragma once
/*
 * The task that a slot works on: its source read item by item, each produced
 * into the fetcher's open transaction, and the account of it so far.
 */
#include "common/control.h"
#include "common/data_types.h"
#include "common/kafka.h"
#include "common/topics.h"
#include "stages/fetcher/cursor.h"
#include "stages/fetcher/source.h"

/* Where a job's messages go; shared by all jobs of the process. */
struct job_outputs {
	struct kafka_producer *producer;
	struct kafka_topic *data[DATA_STAGES][DATA_TYPES], *dlq, *events;
	const char *worker; /* this process, for the events */
};

enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_ABANDONED };

struct job;

/*
 * Decodes a task message (owned by the job from here on). `from` is the cursor
 * that is committed for it, all zeros for none. A task that can never pass is
 * a job too: its first work is to refuse itself.
 */
struct job *job_new(const struct job_outputs *outputs, struct kafka_message *message, const struct cursor *from);

/* A task that ended so many starts without getting further: refused as it is, nothing of it is looked at. */
struct job *job_new_crashed(const struct job_outputs *outputs, struct kafka_message *message,
			    const struct cursor *from);
void job_freep(struct job **job);

/* Opens the source; env outlives the job. ERR_RETRY and ERR_FATAL are the process's, here and below. */
int job_open(struct job *job, const struct source_env *env, struct err *err);

/* Items before the cursor are read again, and passed over: nothing is produced, so no transaction is needed. */
bool job_catching_up(const struct job *job);
int job_catch_up(struct job *job, unsigned items, struct err *err);

/*
 * True: the source gives something now, which job_work() begins with. False:
 * it is waited for, until job_ready_ns() (monotonic) or a wake-up.
 */
bool job_is_ready(struct job *job);
bool job_waits(const struct job *job);
int64_t job_ready_ns(const struct job *job);

/* Produces up to `items` items, as long as there are any. */
int job_work(struct job *job, unsigned items, struct err *err);
enum job_state job_state(const struct job *job);

/* It called its vendor, and somebody counts that: who goes on with it has to know, whatever came of it. */
bool job_has_called(const struct job *job);

/* It does nothing for a moment, its source stays open; false: it is about to end. */
bool job_rest(struct job *job);

/* NULL: nobody could read whose it is, or it is put back on purpose. */
const char *job_subscription(const struct job *job);

/*
 * Its subscription is held back, or its run stands still: the attempt ends,
 * and the event that says so has its place, where the task's next attempt goes
 * on. One that ended already, or cannot begin, is left as it is.
 */
void job_park(struct job *job, const char *why);

/* Produces what became of the attempt so far. */
int job_report(struct job *job, struct err *err);

const struct cursor *job_cursor(const struct job *job);
const struct kafka_message *job_message(const struct job *job);

/* The job ends here, unsaid; its message is the caller's again. */
struct kafka_message job_return(struct job **job);
