#pragma once
/*
 * Records of a window by symbol and UTC day of their index time, for what is
 * known of its coverage. Bounded: a window of too many pairs has no tally.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/json_out.h"
#include "common/str.h"

#define TALLY_MAX 2048 /* pairs of symbol and day */

struct tally_entry;

struct tally {
	struct tally_entry *entries; /* open addressing */
	uint32_t count;
	bool incomplete; /* too many pairs, or records that were counted elsewhere */
};

void tally_add(struct tally *tally, struct str symbol, int64_t index);
void tally_release(struct tally *tally);

/* [{"symbol","date","records"}, ...]; null where it is incomplete. */
void tally_put(const struct tally *tally, struct json_out *out);
