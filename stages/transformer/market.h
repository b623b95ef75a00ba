#pragma once
/*
 * What a row says of its market and the vendor does not: the normalised
 * ticker, the publisher's venue, the trading session, which it remembers.
 */
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

struct market;

/* Reads the embedded common/datasets.yaml and stages/transformer/publishers.yaml. */
int market_open(struct market **ret, struct err *err);
void market_freep(struct market **market);

/* Of one record. */
struct market_query {
	struct str symbol, dataset;
	int32_t publisher_id;
	int64_t ts; /* ns: the instant whose session is asked for */
	bool utc;   /* the day is that of UTC whatever the venue's is */
};

/* Strings live until the next call. */
struct market_place {
	struct str ticker;
	struct str venue; /* empty: not known */
	int32_t session_date;
	struct str session_basis; /* "utc", "session" */
	bool closed;              /* outside of the hours in which its dataset trades */
};

/* ERR_RECORD where the symbol is none. */
int market_find(struct market *market, const struct market_query *query, struct market_place *ret, struct err *err);
