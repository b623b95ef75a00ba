#pragma once
/*
 * What runs with a budget may still spend, while tasks are chosen: a task that
 * does not fit any more stops its run, so that none behind it is bought first.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pg.h"

struct outbox_budgets {
	struct outbox_budget {
		int64_t run;
		bool in_calls;
		int64_t left; /* calls, or USD in units of 1e-9 */
	} * items;
	unsigned count;
};

int outbox_budgets_read(struct outbox_budgets *ret, struct pg *pg, struct err *err);
void outbox_budgets_release(struct outbox_budgets *budgets);

/*
 * False: it is not sent now. *ret_calls_max: how many calls its attempt may make, some more than it needs, for what has
 * to be tried again; 0: as many as it takes.
 */
bool outbox_budgets_take(struct outbox_budgets *budgets, int64_t run, int64_t calls, int64_t cost,
			 int64_t *ret_calls_max);
