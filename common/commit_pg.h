#pragma once
/*
 * Effects go to PostgreSQL: rows and the consumer's offsets in one
 * transaction. The offsets live in etl.offsets with an epoch per partition,
 * raised by every takeover; a commit compares and swaps on epoch and batch
 * start, so that neither a former owner nor a repeated batch can pass.
 */
#include "common/pg.h"
#include "common/stage.h"

struct commit_pg;

/* What goes into the transaction besides the offsets. */
struct commit_pg_effects {
	void *self;
	int (*prepare)(void *self, struct pg *pg, struct err *err); /* before it begins: its own transactions */
	int (*write)(void *self, struct pg *pg, struct err *err);
	int (*opened)(void *self, struct pg *pg, struct err *err); /* a new session: what the old one had is gone */
	void (*forget)(void *self, bool committed);                /* the batch is over */
};

int commit_pg_open(struct commit_pg **ret, const struct config *cfg, const char *group, const char *owner,
		   const struct commit_pg_effects *effects, struct err *err);
void commit_pg_freep(struct commit_pg **commit);
struct commit_ops commit_pg_ops(struct commit_pg *commit);
