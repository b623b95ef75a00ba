#pragma once
/*
 * A run's plan: its subscriptions as they are now, as the tasks that the run
 * begins with. One file is one task; what a vendor sells begins with a quote,
 * of which quotes.c plans the rest.
 */
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/pg.h"

#define PLAN_BYTES_MAX (64 * 1024 * 1024)

struct plan {
	struct buf tasks; /* a JSON array of {subscription, source, action, parameters} */
	unsigned count;
	unsigned quotes; /* of these */
};

#define PLAN_INIT \
	{ \
		.tasks = BUF_INIT(PLAN_BYTES_MAX) \
	}

/* options: the run's, as JSON. Whatever fails is a reason for the run to fail, and says what to change. */
int plan_make(struct plan *plan, const struct config *cfg, const char *kind, const char *options, struct err *err);
void plan_release(struct plan *plan);

/* Writes the tasks; inside the caller's transaction. */
int plan_store(struct plan *plan, struct pg *pg, int64_t run, struct err *err);
