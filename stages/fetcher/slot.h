#pragma once
/*
 * One partition of a task topic: the task at work, those that wait, and what
 * the group has committed for it, which this process keeps in mind as long as
 * the slot is its own.
 *
 * A start is committed before anything of the task is looked at, so that one
 * that kills the process is counted. Who finds SLOT_STARTS_CAREFUL of them
 * without progress is careful: the slot has the process for itself, and its
 * transactions hold one item, later more, until it goes on like any other.
 * Who finds SLOT_STARTS_MAX refuses the task unseen.
 */
#include "stages/fetcher/job.h"
#include "stages/fetcher/pace.h"

#define SLOT_STARTS_CAREFUL 2
#define SLOT_STARTS_MAX 4
#define SLOT_PENDING_MAX 64 /* task messages of one slot that wait their turn */

/* An offset with its cursor, committed or about to be. */
struct slot_place {
	int64_t offset;
	struct cursor cursor;
	bool begun;   /* the start of the task there is counted */
	bool counted; /* by cursor.starts: nothing came of it yet */
};

struct slot {
	const char *topic;
	int32_t partition;
	bool assigned;
	bool known; /* `committed` is what the group has */
	struct slot_place committed, next;
	struct job *job;
	unsigned items;                 /* of one transaction, while careful; 0: as many as there are */
	unsigned careful_count;         /* transactions of as many */
	bool count_start, tell_attempt; /* with the next transaction */
	bool said;                      /* `next` is in the open transaction */
	struct limiter limiter;         /* of its calls to the vendor */
	bool trouble;                   /* as the env has it, and so are these */
	struct source_calls calls;
	struct source_env env; /* what its sources work with */
	struct kafka_message pending[SLOT_PENDING_MAX];
	unsigned pending_first, pending_count;
	int64_t take_from; /* offset: what stands before it was taken already */
	bool full;         /* tasks from `left_at` on are read again when there is room */
	int64_t left_at;   /* offset */
	char text[CURSOR_TEXT_MAX];
};

/* Forgets the job and what waits. */
void slot_clear(struct slot *slot);

/* The slot may come back: the job is kept, all else is read again then. */
void slot_park(struct slot *slot);

/* Takes the message, or leaves it: it was taken before, or there is no room now. */
void slot_take(struct slot *slot, struct kafka_message *message);

/* The task that comes next, NULL if none waits. */
struct kafka_message *slot_first(struct slot *slot);

/* The job ends unsaid: its task waits again, before all others. */
void slot_give_up(struct slot *slot);

/* The group has exactly what this process committed last. */
bool slot_is_as_left(const struct slot *slot, int64_t offset, const char *metadata);

/*
 * What the group has committed, as read from it. A parked job goes on where
 * it is exactly what the job committed; else the job is given up, to be begun
 * again there (true).
 */
bool slot_learn(struct slot *slot, int64_t offset, const char *metadata);

/* There is a task whose start is to be counted before anything else. */
bool slot_is_new(struct slot *slot);

/* Starts without progress of the task at work or next; the one that is counted already is not among them. */
int64_t slot_starts(struct slot *slot);
bool slot_is_careful(struct slot *slot);

/* A job, not open yet, of the task that waits; its start is counted. */
void slot_begin(struct slot *slot, const struct job_outputs *outputs);

/*
 * What the open transaction is to say of the slot; false: nothing. With the
 * end of a task comes the start of the next. `leaving`: the slot or the
 * process ends here in good order, and what was counted without progress is
 * taken back.
 */
bool slot_say(struct slot *slot, bool leaving);
bool slot_moved(const struct slot *slot);
struct kafka_offset slot_offset(struct slot *slot);

/* With what slot_say() said its task ends. */
bool slot_ends(const struct slot *slot);
/* What slot_say() said is committed. */
void slot_committed(struct slot *slot);
