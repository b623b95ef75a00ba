#pragma once
/*
 * Shared by the files that judge accounts, and by nobody else. Each function
 * is a transaction of its own.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

/* One attempt that has ended, as the query tells it. */
struct ended {
	int64_t attempt, task, run;
	const char *state;
	int64_t fetched;
	const char *message;
	int64_t accounted;
	uint64_t mix;
	bool run_open;
	const char *subscription;
	const char *options;
	bool is_quote;
	bool is_window; /* of a vendor's data: it is covered, or not, when its account is closed */
};

/* --- alarms (closing_alarms.c): raised once, said once ---------------------------------------------------------------- */

/* Wrong for good, which ends the run: more than was fetched, not each of them once, or in no account and never to be. */
int closing_too_many(struct orchestrator *self, const struct ended *e, struct err *err);
int closing_wrong_ones(struct orchestrator *self, const struct ended *e, struct err *err);
int closing_lost(struct orchestrator *self, const struct ended *e, struct err *err);

/* Stands still for so long; fail: its run ends. And what takes that alarm back. */
int closing_stalled(struct orchestrator *self, const struct ended *e, int64_t seconds, bool fail, struct err *err);
int closing_moves(struct orchestrator *self, const struct ended *e, struct err *err);

/* --- ends (closing_ends.c): *ret_busy where the task became pending again ---------------------------------------------- */

/* It balances: what its task needs now depends on how it ended. */
int closing_close(struct orchestrator *self, const struct ended *e, bool *ret_busy, struct err *err);

/* Never balanced; what its task needs is another attempt, unless the fetcher itself gave up. */
int closing_expire(struct orchestrator *self, const struct ended *e, const char *message, bool *ret_busy,
		   struct err *err);
