#pragma once
/*
 * Where a window has been read to, in words that the vendor understands: the
 * index time of the last record, and how many records were read at it. Asked
 * to go on from that time, the vendor sends these once more; their bytes are
 * compared, and nothing before them is bought again.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

struct place {
	int64_t index; /* ns */
	int64_t count; /* records since that time was first met; 0: nothing was read */
	uint64_t hash; /* of their bytes */
};

/* One more record was read. */
void place_pass(struct place *place, int64_t index, struct str bytes);

bool place_same(const struct place *a, const struct place *b);
