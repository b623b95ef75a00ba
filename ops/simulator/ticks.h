#pragma once
/*
 * Records other than bars, made from a seed: trades, tbbo, statistics and
 * definitions of shares, the same on every machine (integers only), ordered by
 * time. Trades, with and without their quotes, belong to symbols as Zipf has
 * it: the second symbol has half as many as the first, the third a third.
 * Statistics and definitions take the symbols in turn.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "ops/simulator/days.h"
#include "ops/simulator/records/record.h"

#define TICKS_PER_DAY 500000

struct ticks_options {
	uint16_t schema; /* DBN's number of trades, tbbo, statistics or definition */
	uint64_t records;
	uint32_t symbols;
	int32_t start_day; /* days since 1970; a weekend moves on to Monday */
	uint64_t seed;
	uint16_t publisher_id;
};

struct ticks;

bool ticks_make(uint16_t schema);
int ticks_new(struct ticks **ret, const struct ticks_options *options, struct err *err);
void ticks_freep(struct ticks **ticks);

/* False after the last one. Texts are valid as long as the ticks are. */
bool ticks_next(struct ticks *ticks, struct record *ret);

const struct days *ticks_days(const struct ticks *ticks);
