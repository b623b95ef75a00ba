#pragma once
/*
 * What coverage says is missing of a subscription, days that the vendor has
 * changed since they were fetched included. Nobody but the database is asked:
 * where nothing is missing, no vendor hears of it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pg.h"

struct backfill_asked {
	const char *subscription;
	const char *symbols; /* a JSON array */
	const char *request; /* dataset, schema and symbology, as etl.coverage has them */
	int32_t from, to;    /* days since 1970, the last one not included */
	const char *reprocess, *dataset;
};

/* The first is what is meant where nothing is said; ends with NULL. */
extern const char *const backfill_reprocess[];

/* Rows: symbols of which the same days are wanted. None: there is nothing to do. */
enum {
	MISSING_STRETCHES, /* [[first day, the day behind the last], …] */
	MISSING_SYMBOLS,   /* ["AAPL", …] */
	MISSING_COVERAGE,  /* a digest of all that coverage says of what was asked for; the same in each row */
	MISSING_SYMBOL_DAYS,
	MISSING_CORRECTED, /* how many days of symbols are covered, but changed; of all rows, the same in each */
};
int backfill_missing(struct pg *pg, const struct backfill_asked *asked, struct pg_result **ret, struct err *err);

/* Whether days are covered of which nobody has read for so long what the vendor says of them, and from which to before which. */
int backfill_unread(struct pg *pg, const struct backfill_asked *asked, int64_t seconds, bool *ret, int32_t *ret_from,
		    int32_t *ret_to, struct err *err);
