#include "stages/fetcher/formats/ties.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/mem.h"

#define SLOT_BITS_MIN 5

struct tie_entry {
	struct tie_key key;
	int32_t next;
};

/* Taken only where it is of the current generation: forgetting all costs nothing. */
struct tie_slot {
	uint32_t generation, entry;
};

static uint64_t hash_of(const struct tie_key *key)
{
	uint64_t h = (uint64_t)key->ts_event * UINT64_C(0x9E3779B97F4A7C15);

	h = (h ^ h >> 29 ^ key->sequence) * UINT64_C(0xBF58476D1CE4E5B9);
	h = (h ^ h >> 32 ^ key->more ^ (uint64_t)key->publisher_id << 48) * UINT64_C(0x94D049BB133111EB);
	return h ^ key->symbol.len;
}

static bool same_key(const struct tie_key *a, const struct tie_key *b)
{
	return a->ts_event == b->ts_event && a->sequence == b->sequence && a->publisher_id == b->publisher_id &&
	       a->kind == b->kind && a->more == b->more && str_eq(a->symbol, b->symbol);
}

/* The slot that holds the key, or the free one where it belongs. */
static struct tie_slot *find_slot(const struct ties *ties, const struct tie_key *key)
{
	uint64_t mask = (UINT64_C(1) << ties->slot_bits) - 1, i = hash_of(key) >> 20 & mask;

	while (ties->slots[i].generation == ties->generation &&
	       !same_key(&ties->entries[ties->slots[i].entry].key, key))
		i = (i + 1) & mask;
	return &ties->slots[i];
}

/* No slot is taken; half of them may be. */
static void forget_slots(struct ties *ties, unsigned slot_bits)
{
	uint32_t room = UINT32_C(1) << (slot_bits - 1);

	if (room > ties->room) {
		ties->entries = mem_realloc(ties->entries, room, sizeof(*ties->entries));
		free(ties->slots);
		ties->slots = mem_zalloc((size_t)room * 2, sizeof(*ties->slots));
		ties->room = room;
		ties->generation = 0;
	} else if (ties->generation == UINT32_MAX) {
		memset(ties->slots, 0, (size_t)ties->room * 2 * sizeof(*ties->slots));
		ties->generation = 0;
	}
	ties->generation++;
	ties->slot_bits = slot_bits;
}

static void slot_entries(struct ties *ties)
{
	for (; ties->slotted < ties->count; ties->slotted++)
		*find_slot(ties, &ties->entries[ties->slotted].key) =
			(struct tie_slot){ ties->generation, ties->slotted };
}

static void grow(struct ties *ties)
{
	forget_slots(ties, ties->slot_bits + 1);
	ties->slotted = 0;
	slot_entries(ties);
}

static int32_t add_entry(struct ties *ties, const struct tie_key *key)
{
	ties->entries[ties->count++] = (struct tie_entry){ *key, 1 };
	return 0;
}

/* Mostly every record has a time of its own, and nothing is looked up. */
static int32_t start_group(struct ties *ties, int64_t ts_recv, const struct tie_key *key)
{
	forget_slots(ties, SLOT_BITS_MIN);
	ties->ts_recv = ts_recv;
	ties->count = ties->slotted = 0;
	ties->beyond = 0;
	return add_entry(ties, key);
}

int32_t ties_next(struct ties *ties, int64_t ts_recv, const struct tie_key *key)
{
	struct tie_slot *slot;

	if (ties->ts_recv != ts_recv || !ties->slots)
		return start_group(ties, ts_recv, key);
	slot_entries(ties);
	slot = find_slot(ties, key);
	if (slot->generation == ties->generation)
		return ties->entries[slot->entry].next++;
	if (ties->count == TIES_MAX)
		return ties->beyond++;
	if (ties->count == UINT32_C(1) << (ties->slot_bits - 1))
		grow(ties);
	return add_entry(ties, key);
}

void ties_release(struct ties *ties)
{
	free(ties->entries);
	free(ties->slots);
	*ties = (struct ties){ 0 };
}
