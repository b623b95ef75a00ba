#pragma once
/*
 * Effects go to PostgreSQL: rows and the consumer's offsets in one
 * transaction. The offsets live in etl.offsets with an epoch per partition,
 * raised by every takeover; a commit compares and swaps on epoch and batch
 * start, so that neither a former owner nor a repeated batch can pass.
 *
 * A thread of its own writes a batch while the stage fills the next one; the
 * session is that thread's as long as it does.
 */
#include "common/pg.h"
#include "common/stage.h"

struct commit_pg;

/*
 * What goes into the transaction besides the offsets. The writing thread calls prepare(), write() and written(), and
 * nobody calls anything but what fills the next batch meanwhile.
 */
struct commit_pg_effects {
	void *self;
	void (*hand_over)(
		void *self); /* what was filled is what is to be written; another batch is filled from here on */
	int (*prepare)(void *self, struct pg *pg, struct err *err); /* before it begins: its own transactions */
	int (*write)(void *self, struct pg *pg, struct err *err);
	void (*written)(void *self);                               /* and committed */
	void (*dropped)(void *self);                               /* what was to be written, and what was filled */
	int (*opened)(void *self, struct pg *pg, struct err *err); /* a new session: what the old one had is gone */
};

int commit_pg_open(struct commit_pg **ret, const struct config *cfg, const char *group, const char *owner,
		   const struct commit_pg_effects *effects, struct err *err);
void commit_pg_freep(struct commit_pg **commit);
struct commit_ops commit_pg_ops(struct commit_pg *commit);
