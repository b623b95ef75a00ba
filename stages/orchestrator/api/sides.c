/* Tables beside the real ones are dropped: those of one suffix. */
#include <string.h>

#include "common/cleanup.h"
#include "stages/orchestrator/api/api.h"

/* Those that a run is still to write into stay. */
static const char drop_sql[] =
	"WITH found AS MATERIALIZED (SELECT s.side_name, s.run, r.status IN ('pending', 'running', 'checking') AS open"
	"                            FROM etl.sides s JOIN etl.runs r USING (run) WHERE s.suffix = $1),"
	" dropped AS MATERIALIZED (SELECT side_name, etl.drop_side(side_name) FROM found"
	"                          WHERE NOT EXISTS (SELECT FROM found WHERE open))"
	" SELECT (SELECT count(*) FROM found), (SELECT min(run) FROM found WHERE open),"
	" (SELECT count(*) FROM dropped)";

int api_sides_drop(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_begin(call->pg, err) ||
	    pg_query(call->pg, "SELECT pg_advisory_xact_lock(hashtext('etl.sides'))", PG_NO_PARAMS, NULL, err) ||
	    pg_query(call->pg, drop_sql, PG_PARAMS(call->rest), &r, err))
		return -1;
	if (pg_int(r, 0, 0) == 0 || pg_text(r, 0, 1)[0]) {
		pg_rollback(call->pg);
		if (pg_int(r, 0, 0) == 0)
			api_problem(call->response, 404, "no replay has loaded into '%.64s'", call->rest);
		else
			api_problem(call->response, 409, "run %s writes into '%.64s' now", pg_text(r, 0, 1),
				    call->rest);
		return 0;
	}
	if (api_audit(call->pg, &call->principal, "sides.drop", call->rest, "{}", err) || pg_commit(call->pg, err))
		return -1;
	call->response->status = 204;
	return 0;
}
