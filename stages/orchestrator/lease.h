#pragma once
/*
 * What tells an active orchestrator that works from one that is stopped or
 * cut off: the database keeps the lock of a session whose process hangs. The
 * active one renews etl.lease, on a thread and a connection of its own, so
 * that a long statement of the core is no silence; a standby that sees it too
 * old ends the session that holds the lock.
 */
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/pg.h"

struct lease;

/* Starts the thread; it renews nothing before lease_hold(). */
int lease_open(struct lease **ret, const struct config *cfg, struct err *err);
void lease_freep(struct lease **lease);

/* The epoch to renew for; 0: none. */
void lease_hold(struct lease *lease, int64_t epoch);

/* Ends the session that holds the lock where its lease is over; *ret_pid: its backend, 0 where nothing was done. */
int lease_depose(struct pg *pg, int64_t lease_s, int64_t *ret_pid, struct err *err);
