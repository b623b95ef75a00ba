#include "stages/fetcher/formats/dbn_live.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define BLOCK_BYTES 65536
#define SLOT_BITS_MIN 6

struct dbn_live_block {
	struct dbn_live_block *older;
	uint32_t used;
	char text[BLOCK_BYTES];
};

static struct dbn_live_slot *find_slot(const struct dbn_live *live, uint32_t id)
{
	uint32_t mask = (UINT32_C(1) << live->slot_bits) - 1;
	uint32_t i = id * UINT32_C(2654435769) >> (32 - live->slot_bits); /* Fibonacci hashing */

	while (live->slots[i].symbol.len > 0 && live->slots[i].id != id)
		i = (i + 1) & mask;
	return &live->slots[i];
}

static void grow(struct dbn_live *live)
{
	struct dbn_live old = *live;

	live->slot_bits = old.slots ? old.slot_bits + 1 : SLOT_BITS_MIN;
	live->slots = mem_zalloc((size_t)1 << live->slot_bits, sizeof(*live->slots));
	for (uint32_t i = 0; old.slots && i < UINT32_C(1) << old.slot_bits; i++)
		if (old.slots[i].symbol.len > 0)
			*find_slot(live, old.slots[i].id) = old.slots[i];
	free(old.slots);
}

static struct str keep_text(struct dbn_live *live, struct str text)
{
	struct dbn_live_block *block = live->blocks;
	char *to;

	if (!block || BLOCK_BYTES - block->used < text.len) {
		block = mem_alloc(sizeof(*block));
		block->older = live->blocks;
		block->used = 0;
		live->blocks = block;
	}
	to = block->text + block->used;
	memcpy(to, text.data, text.len);
	block->used += text.len;
	live->text_bytes += text.len;
	return (struct str){ to, text.len };
}

bool dbn_live_put(struct dbn_live *live, uint32_t id, struct str symbol)
{
	struct dbn_live_slot *slot;

	if (symbol.len == 0 || symbol.len > BLOCK_BYTES)
		return symbol.len == 0;
	if (!live->slots || live->count * UINT64_C(2) >= UINT64_C(1) << live->slot_bits)
		grow(live);
	slot = find_slot(live, id);
	if (slot->symbol.len > 0 && str_eq(slot->symbol, symbol))
		return true;
	if (live->text_bytes + symbol.len > DBN_LIVE_TEXT_MAX || (slot->symbol.len == 0 && live->count == DBN_LIVE_MAX))
		return false;
	live->count += slot->symbol.len == 0;
	*slot = (struct dbn_live_slot){ id, keep_text(live, symbol) };
	return true;
}

struct str dbn_live_find(const struct dbn_live *live, uint32_t id)
{
	struct str symbol = live->slots ? find_slot(live, id)->symbol : (struct str){ "", 0 };

	return symbol.len > 0 ? symbol : (struct str){ "", 0 };
}

void dbn_live_release(struct dbn_live *live)
{
	while (live->blocks) {
		struct dbn_live_block *older = live->blocks->older;

		free(live->blocks);
		live->blocks = older;
	}
	free(live->slots);
	*live = (struct dbn_live){ 0 };
}
