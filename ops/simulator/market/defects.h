#pragma once
/* Records that are broken on purpose; which ones, the seed says. */
#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"
#include "ops/simulator/records/record.h"

struct defects {
	uint64_t seed;
	uint32_t permille;
	uint32_t kinds; /* a bit per row of the table */
};

/* All that leave the stream readable. */
uint32_t defects_default(void);
bool defects_parse(struct str names, uint32_t *ret_kinds); /* "high_below_low,price_zero" */
const char *defect_name(uint32_t index);                   /* NULL: no more */

/* Breaks the record or leaves it; true where it is broken now. */
bool defects_apply(const struct defects *defects, uint16_t schema, struct record *record);
