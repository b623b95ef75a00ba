#pragma once
/*
 * What the series of --write have in common: weekdays, as many records on
 * each but the last, and instrument ids that belong to another symbol on the
 * next day.
 */
#include <stdint.h>

#include "common/err.h"

struct days {
	int32_t *list; /* since 1970 */
	uint32_t count;
	uint32_t symbols;
	uint64_t per_day; /* records */
};

/* As many days as the records fill. what: their name, for an error. */
int days_plan(struct days *ret, int32_t start_day, uint32_t symbols, uint64_t records, uint64_t per_day,
	      const char *what, struct err *err);
void days_release(struct days *days);

uint32_t days_instrument_id(const struct days *days, uint32_t symbol, int32_t day);

/* The days of bars whose time is broken on purpose; the metadata must map these too, or no rule would see them. */
int32_t days_past(void);
int32_t days_future(void);
