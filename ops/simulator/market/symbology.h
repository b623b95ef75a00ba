#pragma once
/* What a request's symbols mean: instruments and the days on which they are meant. */
#include <stdbool.h>
#include <stdint.h>

#include "ops/simulator/market/series.h"

#define SYMBOLS_MAX 2000

enum stype {
	STYPE_INSTRUMENT_ID = 0,
	STYPE_RAW_SYMBOL = 1,
	STYPE_CONTINUOUS = 3,
	STYPE_PARENT = 4,
};

struct span {
	const struct instrument *instrument;
	int32_t first_day, end_day;
};

enum found { FOUND_ALL, FOUND_PARTIAL, FOUND_NOT };

struct resolved {
	char *symbol; /* as it was asked for */
	struct span *spans;
	uint32_t count;
	enum found found;
};

struct resolution {
	const struct instruments *instruments;
	enum stype stype_in;
	int32_t first_day, end_day;
	struct resolved *list;
	uint32_t count;
	bool all; /* ALL_SYMBOLS was asked for: one entry per instrument */
};

/* symbols: joined by commas. ERR_RECORD: none or too many of them, or stype_in is not known here. */
int resolution_open(struct resolution *ret, const struct instruments *instruments, uint8_t stype_in, struct str symbols,
		    int32_t first_day, int32_t end_day, struct err *err);
void resolution_release(struct resolution *resolution);
uint32_t resolution_count(const struct resolution *resolution, enum found found);

/* What a stream is made of; the resolution must outlive it. free() the list. */
struct series *resolution_series(const struct resolution *resolution, uint64_t seed, uint32_t *ret_count);

/* The days of a span on which its instrument has one id: from *day on, which moves on; false after the last. */
bool span_next_id(const struct resolution *resolution, const struct span *span, int32_t *day, int32_t *ret_first,
		  int32_t *ret_end, uint32_t *ret_id);
