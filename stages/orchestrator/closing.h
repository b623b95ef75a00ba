#pragma once
/*
 * The account of an attempt: it closes when the ledger holds as many records
 * as were fetched and their ordinals' sum is that of 1…N. What does not add
 * up raises an alarm, and in the end fails the run.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "stages/orchestrator/mix_sum.h"

struct orchestrator;

/* An attempt that has ended and does not balance: when did its account last move? */
struct waiting {
	int64_t attempt;
	int64_t accounted;
	int64_t since_ns; /* monotonic */
	int64_t ended_ns; /* monotonic: when it was first seen to have ended */
	bool alarmed;     /* it stands still, and that was said */
	bool broken;      /* with this count it is wrong for good, and that was said */
};

struct closing {
	struct mix_sum mix;
	struct waiting *waiting; /* ordered by attempt */
	unsigned count;
	int64_t next_ns; /* monotonic: not before this; a long list is not read at every turn */
};

void closing_release(struct closing *closing);

/* True when an account is open for so long that it is time to find out whether its records are lost. */
bool closing_waits(const struct closing *closing);

/* Closes what balances and looks after what does not; *ret_busy where a task became pending again. */
int closing_step(struct closing *closing, struct orchestrator *self, bool *ret_busy, struct err *err);

/* Alarms that the database alone can tell: silent attempts, accounts that changed after they were closed. */
int closing_watch(struct orchestrator *self, struct err *err);
