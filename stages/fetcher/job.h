#pragma once
/*
 * The task that a slot works on: its source read item by item, each produced
 * into the fetcher's open transaction, and the account of it so far.
 */
#include "common/control.h"
#include "common/kafka.h"
#include "common/topics.h"
#include "stages/fetcher/cursor.h"
#include "stages/fetcher/source.h"

/* Where a job's messages go; shared by all jobs of the process. */
struct job_outputs {
	struct kafka_producer *producer;
	struct kafka_topic *raw, *dlq, *events;
	const char *worker; /* this process, for the events */
};

enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_ABANDONED };

struct job;

/*
 * Takes a task message (owned by the job from here on) and goes on where the
 * committed metadata says (NULL: at the start). Produces nothing, so no
 * transaction needs to be open. A task that can never pass is a job too: its
 * first work is to refuse itself.
 */
int job_start(struct job **ret, const struct job_outputs *outputs, struct kafka_message *message, const char *metadata,
	      struct err *err);
void job_freep(struct job **job);

/* Produces up to `records` items. ERR_RETRY and ERR_FATAL are the process's. */
int job_work(struct job *job, unsigned records, struct err *err);
enum job_state job_state(const struct job *job);

/* Produces what became of the attempt so far. */
int job_report(struct job *job, struct err *err);

/* The offset to commit with the transaction: the task's own, with the cursor, until the job is over. */
struct kafka_offset job_offset(struct job *job);
