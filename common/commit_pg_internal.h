#pragma once
/*
 * Shared by the files that commit to PostgreSQL, and by nobody else: what this
 * process has taken over, and with which epoch.
 */
#include "common/buf.h"
#include "common/commit_pg.h"
#include "common/errand.h"

/* A partition that this process has taken over. */
struct owned {
	const char *topic; /* the stage's */
	int32_t partition;
	int64_t epoch;
	int64_t next;
	int64_t leaving; /* `next` when the batch on its way is committed; KAFKA_OFFSET_NONE: it has none of this partition */
	int64_t last_offset; /* KAFKA_OFFSET_NONE: nothing to compare */
	int64_t last_timestamp_ms, last_crc;
};

struct commit_pg {
	const struct config *cfg;
	const char *group;
	const char *owner;
	struct commit_pg_effects effects;
	struct pg *pg;
	struct owned *owned;
	unsigned count;
	unsigned cap;
	bool fenced;
	char *cluster_id;

	/* A batch on its way: the writing thread's until it has arrived. */
	struct errand *writing;
	bool leaving;
	struct buf batch; /* its partitions, as text */
	unsigned batch_count;
	bool committed;
	struct err failed; /* where not */
};

/* NULL where it was not taken over. */
struct owned *commit_pg_owned(struct commit_pg *commit, const char *topic, int32_t partition);

/* Of a message's key and value: by it a log is known again. */
int64_t commit_pg_crc(const struct kafka_message *message);

/* A session, a new one where the last is of no use any more; nothing is on its way then. */
int commit_pg_connect(struct commit_pg *commit, struct err *err);

/* --- takeover (commit_pg_takeover.c): see struct commit_ops ----------------------------------------------------------- */

int commit_pg_assigned(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
		       struct err *err);
int commit_pg_rewind(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
		     struct err *err);

/* --- the transaction (commit_pg_transaction.c) ------------------------------------------------------------------------- */

/* Notes what the batch on its way is to do with the offsets. */
int commit_pg_describe(struct commit_pg *commit, const struct stage_position *positions, unsigned count,
		       struct err *err);

/* Its rows and offsets together; ERR_RETRY, and `fenced`, where another worker took a partition over. */
int commit_pg_transact(struct commit_pg *commit, struct err *err);
