#pragma once
/*
 * Breakers: what went wrong too often is held back, and tried again with one
 * task after a while, each time after twice as long. Of a subscription the
 * share of its records that became dead letters decides, by the ledger; its
 * running tasks are parked where they stand (etl.control), and go on there. Of
 * a source it is tasks of several subscriptions that the vendor's trouble
 * ended. What they are is in etl.breakers; `penstock breaker reset` closes one.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

struct breakers {
	int64_t next_ns; /* monotonic: not before this; looking never takes more than a small part of the time */
};

/* Opens, tries, closes; tells the fetchers. *ret_busy where a task may be sent now. */
int breakers_step(struct breakers *breakers, struct orchestrator *self, bool *ret_busy, struct err *err);

/* After an attempt failed, without waiting for the next step: of tasks that fail together only the first few are to fail for good. */
int breakers_look_at_sources(struct orchestrator *self, bool *ret_busy, struct err *err);

/* Of a task `t`: nothing holds it back, or it is the one that is let through to see (a source's once: what came of it is judged first). What is put back on purpose never waits. */
#define BREAKERS_LET_PASS_SQL \
	"(t.source = 'kafka' OR NOT EXISTS (SELECT 1 FROM etl.breakers b WHERE b.state <> 'closed'" \
	" AND (b.kind, b.name) IN (('subscription', t.subscription), ('source', t.source))" \
	" AND (b.probe IS DISTINCT FROM t.task OR (b.kind = 'source' AND EXISTS (SELECT 1 FROM etl.attempts p" \
	" WHERE p.task = t.task AND p.created_at >= b.since AND p.closed_at IS NOT NULL)))))"

/* Of an attempt `a` that failed: the vendor's trouble ended it while its source is held back, so its task waits, too. */
#define BREAKERS_WAITS_SQL \
	"(coalesce(a.result ? 'trouble', false) AND EXISTS (SELECT 1 FROM etl.breakers b WHERE b.kind = 'source'" \
	" AND b.name = a.source AND b.state <> 'closed'))"
