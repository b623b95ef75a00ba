#pragma once
/*
 * DBN's metadata block: parsing, and the index from instrument ids to
 * symbols. Nothing is allocated beyond a small multiple of the block.
 */
#include "common/bytes.h"
#include "common/err.h"
#include "stages/fetcher/formats/dbn.h"

#define DBN_PREFIX_BYTES 8 /* "DBN", version, length of the block */

/* Slices point into `block`, which must live as long as the metadata. Errors name the byte offset in the file. */
int dbn_metadata_parse(struct dbn_metadata *metadata, unsigned version, struct str block, struct err *err);
void dbn_metadata_release(struct dbn_metadata *metadata);

struct dbn_symbol_entry {
	uint32_t id;
	int32_t start_day, end_day;
	int32_t reach_day; /* the greatest end_day of this id's entries up to this one */
	struct str symbol;
};

/* One instrument id: its entries, and the one that answered last. */
struct dbn_symbol_slot {
	uint32_t id;
	uint32_t first, count; /* count 0: a free slot */
	uint32_t last_hit;
};

struct dbn_symbols {
	struct dbn_symbol_entry *entries; /* by id and start_day */
	struct dbn_symbol_slot *slots;    /* open addressing */
	unsigned slot_bits;
};

/* Slices point where the metadata's do. Intervals whose text is no instrument id map nothing. */
void dbn_symbols_build(struct dbn_symbols *symbols, const struct dbn_metadata *metadata);
void dbn_symbols_release(struct dbn_symbols *symbols);
struct str dbn_symbols_find(const struct dbn_symbols *symbols, uint32_t id, int32_t day);
