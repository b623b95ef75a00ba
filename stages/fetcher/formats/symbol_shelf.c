#include "stages/fetcher/formats/symbol_shelf.h"

#include <stdlib.h>

#include "common/mem.h"

#define SLOTS (2 * SYMBOL_SHELF_COUNT_MAX) /* a power of two */

/* FNV-1a */
static uint32_t hash_of(struct str symbol)
{
	uint32_t h = 2166136261u;

	for (uint32_t i = 0; i < symbol.len; i++)
		h = (h ^ (uint8_t)symbol.data[i]) * 16777619u;
	return h ^ h >> 15;
}

static void clear(struct symbol_shelf *shelf, int64_t ts_recv)
{
	if (!shelf->text) {
		shelf->text = mem_alloc(SYMBOL_SHELF_BYTES_MAX);
		shelf->slots = mem_zalloc(SLOTS, sizeof(*shelf->slots));
	}
	if (++shelf->generation == 0) {
		memset(shelf->slots, 0, SLOTS * sizeof(*shelf->slots));
		shelf->generation = 1;
	}
	shelf->ts_recv = ts_recv;
	shelf->count = 0;
	shelf->len = 0;
}

/* The slot that holds the symbol, or the free one where it belongs. */
static struct symbol_shelf_slot *find(const struct symbol_shelf *shelf, struct str symbol)
{
	uint32_t i = hash_of(symbol) % SLOTS;

	while (shelf->slots[i].generation == shelf->generation && !str_eq(shelf->slots[i].symbol, symbol))
		i = (i + 1) % SLOTS;
	return &shelf->slots[i];
}

struct str symbol_shelf_put(struct symbol_shelf *shelf, int64_t ts_recv, struct str symbol)
{
	struct symbol_shelf_slot *slot;

	if (!shelf->text || shelf->ts_recv != ts_recv)
		clear(shelf, ts_recv);
	slot = find(shelf, symbol);
	if (slot->generation == shelf->generation)
		return slot->symbol;
	if (shelf->count == SYMBOL_SHELF_COUNT_MAX || symbol.len > SYMBOL_SHELF_BYTES_MAX - shelf->len)
		return (struct str){ "", 0 };
	memcpy(shelf->text + shelf->len, symbol.data, symbol.len);
	slot->symbol = (struct str){ shelf->text + shelf->len, symbol.len };
	slot->generation = shelf->generation;
	shelf->len += symbol.len;
	shelf->count++;
	return slot->symbol;
}

void symbol_shelf_release(struct symbol_shelf *shelf)
{
	free(shelf->text);
	free(shelf->slots);
	*shelf = (struct symbol_shelf){ 0 };
}
