#pragma once
/*
 * Every instrument of a dataset that lives in the available range. Shares get
 * another instrument id on every trading day, and an id then belongs to
 * another share; futures and options keep theirs.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"
#include "ops/simulator/market/datasets.h"

#define RAW_SYMBOL_MAX 24 /* bytes with NUL */
#define PARENT_MAX 12
#define FUTURES_RANKS 8 /* contracts of a product that are listed at once */

struct instrument {
	char raw[RAW_SYMBOL_MAX];
	char parent[PARENT_MAX]; /* ES.FUT, AAPL.OPT; empty: none */
	char asset[8];
	uint32_t id; /* of a share: of its first day */
	int32_t first_day, end_day;
	int32_t expiry_day;
	int64_t tick; /* 1e-9 */
	int64_t base_ticks;
	int64_t strike;        /* 1e-9; INT64_MAX: none */
	char instrument_class; /* K, F, C, P */
	uint32_t activity;     /* percent of minutes with trades */
	uint64_t walk_key;     /* instruments with the same one move together */
};

struct instruments {
	const struct dataset *dataset;
	struct instrument *list;
	uint32_t count, capacity;
	uint32_t *by_raw; /* indices in the order of raw symbols */
};

struct market_options {
	uint64_t seed;
	uint32_t shares;
	int32_t first_day, end_day; /* what is available */
};

void instruments_open(struct instruments *ret, const struct dataset *dataset, const struct market_options *options);
void instruments_release(struct instruments *instruments);

/* Makes room for one more; for those that list a kind. */
struct instrument *instruments_add(struct instruments *instruments);
void shares_list(struct instruments *instruments, const struct market_options *options);
void futures_list(struct instruments *instruments, const struct market_options *options);
void options_list(struct instruments *instruments, const struct market_options *options);

uint32_t instruments_id(const struct instruments *instruments, const struct instrument *instrument, int32_t day);
const struct instrument *instruments_by_id(const struct instruments *instruments, uint32_t id, int32_t day);
/* Those with a raw symbol: *ret_first and the ones behind it in by_raw; a name may come back after ten years. */
uint32_t instruments_by_raw(const struct instruments *instruments, struct str raw, uint32_t *ret_first);
bool instrument_is_listed(const struct instrument *instrument, int32_t day);

/* ES, 0 on a day: the contract that expires next. NULL: none. */
const struct instrument *futures_ranked(const struct instruments *instruments, struct str product, uint32_t rank,
					int32_t day);
