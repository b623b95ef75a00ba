#include <stdlib.h>

#include "common/mem.h"
#include "stages/fetcher/formats/dbn_metadata.h"

/* The whole text as a decimal number of 32 bits. */
static bool parse_id(struct str text, uint32_t *ret)
{
	uint64_t n = 0;

	if (text.len == 0 || text.len > 10)
		return false;
	for (uint32_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.data[i] - '0');
	}
	*ret = (uint32_t)n;
	return n <= UINT32_MAX;
}

/* By id and day; where these are equal, by place in the file, which the slices still show. */
static int compare_entries(const void *left, const void *right)
{
	const struct dbn_symbol_entry *a = left, *b = right;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	if (a->start_day != b->start_day)
		return a->start_day < b->start_day ? -1 : 1;
	return (a->symbol.data > b->symbol.data) - (a->symbol.data < b->symbol.data);
}

static uint32_t collect_entries(struct dbn_symbol_entry *entries, const struct dbn_metadata *metadata)
{
	bool id_is_input =
		metadata->stype_in == DBN_STYPE_INSTRUMENT_ID && metadata->stype_out != DBN_STYPE_INSTRUMENT_ID;
	uint32_t n = 0;

	for (uint32_t i = 0; i < metadata->mapping_count; i++) {
		const struct dbn_mapping *mapping = &metadata->mappings[i];

		for (uint32_t k = 0; k < mapping->interval_count; k++) {
			const struct dbn_interval *interval = &mapping->intervals[k];
			struct str id = id_is_input ? mapping->raw_symbol : interval->symbol;
			struct str symbol = id_is_input ? interval->symbol : mapping->raw_symbol;

			entries[n].start_day = interval->start_day;
			entries[n].end_day = interval->end_day;
			entries[n].symbol = symbol;
			if (symbol.len > 0 && parse_id(id, &entries[n].id))
				n++;
		}
	}
	return n;
}

static struct dbn_symbol_slot *find_slot(const struct dbn_symbols *symbols, uint32_t id)
{
	uint32_t mask = (UINT32_C(1) << symbols->slot_bits) - 1;
	uint32_t i = id * UINT32_C(2654435769) >> (32 - symbols->slot_bits); /* Fibonacci hashing */

	while (symbols->slots[i].count > 0 && symbols->slots[i].id != id)
		i = (i + 1) & mask;
	return &symbols->slots[i];
}

void dbn_symbols_build(struct dbn_symbols *symbols, const struct dbn_metadata *metadata)
{
	struct dbn_symbol_entry *entries = mem_zalloc((size_t)metadata->interval_count + 1, sizeof(*entries));
	uint32_t n = collect_entries(entries, metadata);

	qsort(entries, n, sizeof(*entries), compare_entries);
	symbols->entries = entries;
	symbols->slot_bits = 1;
	while (UINT64_C(1) << symbols->slot_bits < (uint64_t)n * 2)
		symbols->slot_bits++;
	symbols->slots = mem_zalloc((size_t)1 << symbols->slot_bits, sizeof(*symbols->slots));
	for (uint32_t i = 0; i < n; i++) {
		struct dbn_symbol_slot *slot = find_slot(symbols, entries[i].id);
		bool follows = slot->count > 0;

		if (!follows)
			*slot = (struct dbn_symbol_slot){ entries[i].id, i, 0, i };
		slot->count++;
		entries[i].reach_day = entries[i].end_day;
		if (follows && entries[i - 1].reach_day > entries[i].end_day)
			entries[i].reach_day = entries[i - 1].reach_day;
	}
}

void dbn_symbols_release(struct dbn_symbols *symbols)
{
	free(symbols->entries);
	free(symbols->slots);
	*symbols = (struct dbn_symbols){ 0 };
}

/* The entry that holds the day and starts last; NULL: none. */
static const struct dbn_symbol_entry *find_entry(const struct dbn_symbol_entry *entries, uint32_t count, int32_t day)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (entries[middle].start_day <= day)
			low = middle + 1;
		else
			high = middle;
	}
	while (low > 0 && entries[low - 1].reach_day > day) {
		if (entries[low - 1].end_day > day)
			return &entries[low - 1];
		low--;
	}
	return NULL;
}

struct str dbn_symbols_find(const struct dbn_symbols *symbols, uint32_t id, int32_t day)
{
	struct dbn_symbol_slot *slot = find_slot(symbols, id);
	const struct dbn_symbol_entry *entry;

	if (slot->count == 0)
		return (struct str){ "", 0 };
	entry = &symbols->entries[slot->last_hit];
	/* The last answer holds until the entry after it starts. */
	if (entry->start_day <= day && day < entry->end_day &&
	    (slot->last_hit + 1 == slot->first + slot->count || day < entry[1].start_day))
		return entry->symbol;
	entry = find_entry(symbols->entries + slot->first, slot->count, day);
	if (!entry)
		return (struct str){ "", 0 };
	slot->last_hit = (uint32_t)(entry - symbols->entries);
	return entry->symbol;
}
