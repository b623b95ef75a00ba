#pragma once
/* What requests that change the state of dead letters have in common: which letters, who, why, one at a time. */
#include <jansson.h>

#include "stages/orchestrator/api/asked.h"

#define DECISION_WHY_MAX 500 /* bytes */
#define DECISION_SQL_MAX (64 * 1024)

struct decision {
	struct api_call *call;
	struct asked chosen; /* of resource dead_letters: its filters are those of the list */
	json_t *body;
	const char *why; /* "" where nothing is said */
	char audit[PG_INT_MAX];
	bool refused; /* the response says why */
};

void decision_release(struct decision *decision);

/* Reads filters and body; needs_why: a reason has to be given. `number`: a key of the body that holds one; NULL: none. */
void decision_read(struct decision *ret, struct api_call *call, bool needs_why, const char *number);

/* Begins the transaction: whoever decides about letters waits here for who is at it. Books it in etl.audit as `action`. */
int decision_begin(struct decision *decision, const char *action, struct err *err);

/*
 * One statement over the chosen letters, `chosen` (id) of a CTE: `sql` begins behind it, and has $audit and the
 * further values as the numbers that %A, %B, … stand for. At most four.
 */
int decision_query(struct decision *decision, const char *sql, const char *const *more, unsigned more_count,
		   struct pg_result **ret, struct err *err);

/* What was decided stands in etl.audit, too: how many letters. Commits. */
int decision_commit(struct decision *decision, const char *target, int64_t letters, struct err *err);
