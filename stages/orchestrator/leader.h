#pragma once
/*
 * The one active orchestrator: a session's advisory lock says who may try, an
 * epoch in etl.leader, checked inside every transaction that changes state,
 * keeps out one that has lost the lock without noticing.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pg.h"

struct leader {
	int64_t epoch; /* 0: standing by */
	bool lost;     /* somebody else's epoch was found */
};

/* Takes the lock and a new epoch where nobody holds it; leader->epoch stays 0 where somebody does. */
int leader_try(struct leader *leader, struct pg *pg, const char *holder, struct err *err);

/* BEGIN, valid for our epoch only: ERR_RETRY and `lost` where it is over. The epoch cannot end before COMMIT. */
int leader_begin(struct leader *leader, struct pg *pg, struct err *err);
