#include "stages/orchestrator/backfill_missing.h"

#include <stddef.h>

const char *const backfill_reprocess[] = { "missing", "failed", "all", NULL };

/* $3: of another request coverage says nothing. */
#define PICKED_SQL \
	"c.request = $3 AND CASE $6::text WHEN 'failed' THEN c.state = 'failed' ELSE c.state IN ('complete', 'verified_empty') END"
#define OF_SYMBOL_SQL \
	"FROM etl.coverage c WHERE c.subscription = $1 AND c.symbol = w.symbol" \
	" AND c.day >= date '1970-01-01' + $4::int AND c.day < date '1970-01-01' + $5::int"

/*
 * Symbol by symbol, by the primary key, so that memory does not depend on how many days there are. Most have one stretch,
 * which its ends tell; ranges are put together for the others only. Where all symbols were fetched, that holds for each of
 * them. The digest: whatever is written about a day has another attempt.
 */
/* clang-format off */
static const char missing_sql[] =
	"WITH asked AS (SELECT DISTINCT x.symbol COLLATE \"C\" AS symbol FROM jsonb_array_elements_text($2::jsonb) AS x (symbol)),"
	" span AS (SELECT datemultirange(daterange(date '1970-01-01' + $4::int, date '1970-01-01' + $5::int)) AS days),"
	" whole AS (SELECT symbol FROM asked UNION SELECT 'ALL_SYMBOLS'),"
	" known AS MATERIALIZED (SELECT w.symbol, k.rows, k.hash, CASE WHEN k.picked = 0 THEN '{}'"
	"          WHEN k.picked = k.last - k.first + 1 THEN datemultirange(daterange(k.first, k.last + 1))"
	"          ELSE (SELECT range_agg(daterange(c.day, c.day + 1)) " OF_SYMBOL_SQL " AND " PICKED_SQL ") END AS days"
	"   FROM whole w CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE " PICKED_SQL ") AS picked,"
	"       min(c.day) FILTER (WHERE " PICKED_SQL ") AS first, max(c.day) FILTER (WHERE " PICKED_SQL ") AS last,"
	"       count(*) AS rows, bit_xor(hashint8extended(c.attempt, c.day - date '1970-01-01')) AS hash"
	"       " OF_SYMBOL_SQL " OFFSET 0) k),"
	" of_all AS (SELECT days FROM known WHERE symbol = 'ALL_SYMBOLS'),"
	" wanted AS (SELECT a.symbol, CASE $6::text WHEN 'all' THEN span.days WHEN 'failed' THEN k.days + of_all.days"
	"                   ELSE span.days - k.days - of_all.days END AS days"
	"            FROM asked a JOIN known k USING (symbol) CROSS JOIN span CROSS JOIN of_all),"
	" grouped AS (SELECT days, count(*) AS symbols, jsonb_agg(symbol ORDER BY symbol) AS names FROM wanted"
	"             WHERE NOT isempty(days) GROUP BY days)"
	" SELECT x.stretches, g.names, (SELECT md5(concat_ws(' ', sum(rows), bit_xor(hashtextextended(symbol, hash)))) FROM known"
	"   WHERE rows > 0), x.days * g.symbols"
	" FROM grouped g CROSS JOIN LATERAL (SELECT jsonb_agg(jsonb_build_array(lower(s) - date '1970-01-01',"
	"      upper(s) - date '1970-01-01') ORDER BY s) AS stretches, sum(upper(s) - lower(s)) AS days FROM unnest(g.days) s) x"
	" ORDER BY g.days, g.names->>0";
/* clang-format on */

int backfill_missing(struct pg *pg, const struct backfill_asked *asked, struct pg_result **ret, struct err *err)
{
	if (pg_query(pg, missing_sql,
		     PG_PARAMS(asked->subscription, asked->symbols, asked->request, INT_TEXT(asked->from),
			       INT_TEXT(asked->to), asked->reprocess),
		     ret, err))
		return err_wrap(err, "reading coverage");
	return 0;
}
