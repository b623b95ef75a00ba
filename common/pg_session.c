#include "common/pg_session.h"

#include <stdlib.h>

#include "common/cleanup.h"

#define LOOKS 10
#define WAIT_MS 10000 /* for a session that the pooler has to find */

/* The server's process that answers now. */
static int ask_pid(struct pg *pg, int *ret, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (!PQsendQuery(pg->conn, "SELECT pg_backend_pid()"))
		return pg_fail_result(pg, NULL, err);
	if (!pg_answered_within(pg, WAIT_MS))
		return err_set(err, ERR_RETRY,
			       "database: %s port %s has no session for one connection more: the pool is too small for "
			       "all that penstock opens, or others have its sessions",
			       PQhost(pg->conn), PQport(pg->conn));
	if (pg_fetch_take(pg, &r, err))
		return -1;
	*ret = (int)pg_int(r, 0, 0);
	return 0;
}

static int refuse(const struct pg *pg, struct err *err)
{
	return err_set(
		err, ERR_FATAL,
		"database: %s port %s is a pooler that gives each transaction another session, and locks and "
		"temporary tables are of one: let database.dsn lead to a pool in session mode (pool_mode = session) "
		"or to the server itself",
		PQhost(pg->conn), PQport(pg->conn));
}

/*
 * A session of one's own has one process for as long as it lasts, and nobody
 * else has that. Of a pool two connections that take turns meet: it gives what
 * was used last, or (server_round_robin) longest ago, so whatever its size, one
 * connection that asks twice sees two processes, or the other sees the same.
 * Others that use the pool just then may hide that once, not every time.
 */
static int look_for_sharing(struct pg *pg, struct pg *other, struct err *err)
{
	for (unsigned i = 0; i < LOOKS; i++) {
		int first, second, others;

		if (ask_pid(pg, &first, err) || ask_pid(pg, &second, err) || ask_pid(other, &others, err))
			return -1;
		if (first != pg->pid || second != pg->pid || others == pg->pid)
			return refuse(pg, err);
	}
	return 0;
}

/* A pooler tells its clients numbers of its own: where ours is the process's, nobody is between. */
int pg_session_check(struct pg *pg, const struct config *cfg, const char *application_name, struct err *err)
{
	CLEANUP(pg_freep) struct pg *other = NULL;

	if (ask_pid(pg, &pg->pid, err))
		return -1;
	if (pg->pid == PQbackendPID(pg->conn))
		return 0;
	return pg_connect(&other, cfg, application_name, err) || look_for_sharing(pg, other, err) ? -1 : 0;
}
