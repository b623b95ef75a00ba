#pragma once
/*
 * The symbols that a live capture names within its stream. A text stays where
 * it is as long as the map does, also when its instrument gets another one.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

#define DBN_LIVE_MAX (1024u * 1024u)            /* instruments */
#define DBN_LIVE_TEXT_MAX (64u * 1024u * 1024u) /* bytes of all symbols */

struct dbn_live_slot {
	uint32_t id;
	struct str symbol; /* empty: a free slot */
};

struct dbn_live_block;

struct dbn_live {
	struct dbn_live_slot *slots; /* open addressing; NULL: nothing was named */
	unsigned slot_bits;
	uint32_t count;
	struct dbn_live_block *blocks; /* texts; the newest first */
	uint32_t text_bytes;
};

/* False: there are too many. An empty symbol takes no effect. */
bool dbn_live_put(struct dbn_live *live, uint32_t id, struct str symbol);

/* An empty slice where nothing was said. */
struct str dbn_live_find(const struct dbn_live *live, uint32_t id);

void dbn_live_release(struct dbn_live *live);
