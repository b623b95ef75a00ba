#include "stages/orchestrator/backfill_missing.h"

#include <stddef.h>
#include <string.h>

#include "common/cleanup.h"

const char *const backfill_reprocess[] = { "missing", "failed", "all", NULL };

/* $3: of another request coverage says nothing. */
#define PICKED_SQL \
	"c.request = $3 AND CASE $6::text WHEN 'failed' THEN c.state = 'failed' ELSE c.state IN ('complete', 'verified_empty') END"
/* Of what is covered, the days that the vendor says something else of by now. */
#define CORRECTED_SQL \
	"SELECT c.symbol, range_agg(daterange(c.day, c.day + 1)) AS days FROM etl.vendor_days v JOIN etl.coverage c" \
	" ON c.subscription = $1 AND c.day = v.day AND c.request = $3 AND c.state IN ('complete', 'verified_empty')" \
	" WHERE $6::text = 'missing' AND v.dataset = $7 AND v.changed AND v.condition IS NOT NULL" \
	" AND v.day >= date '1970-01-01' + $4::int AND v.day < date '1970-01-01' + $5::int" \
	" AND (v.condition, v.last_modified) IS DISTINCT FROM (c.vendor_condition, c.vendor_last_modified) GROUP BY c.symbol"
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
	" corrected AS MATERIALIZED (" CORRECTED_SQL "),"
	" of_all AS (SELECT days, coalesce((SELECT days FROM corrected WHERE symbol = 'ALL_SYMBOLS'), '{}') AS corrected"
	"            FROM known WHERE symbol = 'ALL_SYMBOLS'),"
	" wanted AS (SELECT a.symbol, CASE $6::text WHEN 'all' THEN span.days WHEN 'failed' THEN k.days + of_all.days"
	"                   ELSE span.days - (k.days - coalesce(x.days, '{}')) - (of_all.days - of_all.corrected) END AS days,"
	"                   coalesce(x.days, '{}') + of_all.corrected AS corrected"
	"            FROM asked a JOIN known k USING (symbol) CROSS JOIN span CROSS JOIN of_all"
	"            LEFT JOIN corrected x ON x.symbol = a.symbol),"
	" grouped AS (SELECT days, count(*) AS symbols, jsonb_agg(symbol ORDER BY symbol) AS names FROM wanted"
	"             WHERE NOT isempty(days) GROUP BY days)"
	" SELECT x.stretches, g.names, (SELECT md5(concat_ws(' ', sum(rows), bit_xor(hashtextextended(symbol, hash)))) FROM known"
	"   WHERE rows > 0), x.days * g.symbols,"
	"  (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM wanted w CROSS JOIN LATERAL unnest(w.days * w.corrected) AS r)"
	" FROM grouped g CROSS JOIN LATERAL (SELECT jsonb_agg(jsonb_build_array(lower(s) - date '1970-01-01',"
	"      upper(s) - date '1970-01-01') ORDER BY s) AS stretches, sum(upper(s) - lower(s)) AS days FROM unnest(g.days) s) x"
	" ORDER BY g.days, g.names->>0";
/* clang-format on */

int backfill_missing(struct pg *pg, const struct backfill_asked *asked, struct pg_result **ret, struct err *err)
{
	if (pg_query(pg, missing_sql,
		     PG_PARAMS(asked->subscription, asked->symbols, asked->request, INT_TEXT(asked->from),
			       INT_TEXT(asked->to), asked->reprocess, asked->dataset),
		     ret, err))
		return err_wrap(err, "reading coverage");
	return 0;
}

/* Whichever symbols they are covered of: to ask of a day too many costs nothing. */
/* clang-format off */
static const char unread_sql[] =
	"SELECT min(d.n), max(d.n) + 1 FROM generate_series($3::int, $4::int - 1) AS d (n)"
	" LEFT JOIN etl.vendor_days v ON v.dataset = $5 AND v.day = date '1970-01-01' + d.n"
	" WHERE (v.day IS NULL OR v.read_at < now() - make_interval(secs => $6::int)) AND EXISTS (SELECT FROM etl.coverage c"
	"     WHERE c.subscription = $1 AND c.day = date '1970-01-01' + d.n AND c.request = $2 AND c.state IN ('complete', 'verified_empty'))";
/* clang-format on */

int backfill_unread(struct pg *pg, const struct backfill_asked *asked, int64_t seconds, bool *ret, int32_t *ret_from,
		    int32_t *ret_to, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	*ret = false;
	if (strcmp(asked->reprocess, "missing") != 0)
		return 0;
	if (pg_query(pg, unread_sql,
		     PG_PARAMS(asked->subscription, asked->request, INT_TEXT(asked->from), INT_TEXT(asked->to),
			       asked->dataset, INT_TEXT(seconds)),
		     &r, err))
		return err_wrap(err, "reading coverage");
	*ret = !pg_null(r, 0, 0);
	*ret_from = (int32_t)pg_int(r, 0, 0);
	*ret_to = (int32_t)pg_int(r, 0, 1);
	return 0;
}
