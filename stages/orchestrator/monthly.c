#include "stages/orchestrator/monthly.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

/*
 * The extension knows which months of the window changed, and leaves the others alone. What was touched is forgotten by its
 * number: a transaction that ends meanwhile may have a lower one than those that are seen.
 */
static int refresh(struct pg *pg, const struct pg_result *touched, struct err *err)
{
	const char *ids = pg_text(touched, 0, 0), *from = pg_text(touched, 0, 1), *until = pg_text(touched, 0, 2);

	if (pg_bool(touched, 0, 3) &&
	    pg_query(pg,
		     "CALL refresh_continuous_aggregate('ohlcv_monthly', $1::text::timestamptz, $2::text::timestamptz)",
		     PG_PARAMS(from, until), NULL, err))
		return err_wrap(err, "refreshing ohlcv_monthly from %s to %s", from, until);
	return pg_query(pg, "DELETE FROM etl.touched WHERE id = ANY($1::bigint[])", PG_PARAMS(ids), NULL, err);
}

int monthly_refresh(struct pg *pg, bool *ret_refreshed, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *touched = NULL;

	*ret_refreshed = false;
	if (pg_query(pg,
		     "SELECT ids, from_month, until_month, from_month < until_month AND etl.timescale_complete()"
		     " FROM etl.touched_months() WHERE ids IS NOT NULL",
		     PG_NO_PARAMS, &touched, err))
		return -1;
	if (pg_rows(touched) == 0)
		return 0;
	if (refresh(pg, touched, err))
		return -1;
	*ret_refreshed = true;
	log_info("months_refreshed",
		 LOG_FIELDS(log_str("from", pg_text(touched, 0, 1)), log_str("until", pg_text(touched, 0, 2))),
		 "bars of months are up to date again");
	return 0;
}
