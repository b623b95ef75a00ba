#include "stages/loader/rounds.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define SLOTS_FIRST 1024 /* a power of two */
#define NO_ROW (-1)
#define UNKNOWN (-1)

struct slot {
	uint64_t hash;
	int32_t last; /* row with this key */
};

struct rounds {
	struct slot *slots; /* open addressing by hash */
	size_t slot_count;
	int32_t *of_row;
	bool *repeated;
	int64_t row_cap;
};

struct rounds *rounds_new(void)
{
	return mem_zalloc(1, sizeof(struct rounds));
}

void rounds_freep(struct rounds **rounds)
{
	if (!*rounds)
		return;
	free((*rounds)->slots);
	free((*rounds)->of_row);
	free((*rounds)->repeated);
	free(*rounds);
	*rounds = NULL;
}

/* At least twice as many slots as rows, all of them empty. */
static void make_room(struct rounds *rounds, int64_t rows)
{
	size_t wanted = rounds->slot_count ? rounds->slot_count : SLOTS_FIRST;

	while (wanted < (size_t)rows * 2)
		wanted *= 2;
	if (wanted > rounds->slot_count) {
		rounds->slots = mem_realloc(rounds->slots, wanted, sizeof(*rounds->slots));
		rounds->slot_count = wanted;
	}
	for (size_t i = 0; i < rounds->slot_count; i++)
		rounds->slots[i].last = NO_ROW;
	if (rows > rounds->row_cap) {
		rounds->of_row = mem_realloc(rounds->of_row, (size_t)rows, sizeof(*rounds->of_row));
		rounds->repeated = mem_realloc(rounds->repeated, (size_t)rows, sizeof(*rounds->repeated));
		rounds->row_cap = rows;
	}
}

static int32_t find_one(struct rounds *rounds, const struct table *table, const struct merge_batch *batch, int32_t row)
{
	struct str bytes = merge_row_bytes(batch, row);
	uint64_t hash = table_key_hash(table, bytes);
	int32_t round = 1;

	for (size_t i = hash;; i++) {
		struct slot *slot = &rounds->slots[i & (rounds->slot_count - 1)];

		if (slot->last != NO_ROW &&
		    (slot->hash != hash || !table_key_equal(table, merge_row_bytes(batch, slot->last), bytes)))
			continue;
		rounds->repeated[row] = slot->last != NO_ROW;
		if (slot->last != NO_ROW) {
			rounds->repeated[slot->last] = true;
			round = rounds->of_row[slot->last] + 1;
		}
		*slot = (struct slot){ hash, row };
		return round;
	}
}

int32_t rounds_find(struct rounds *rounds, const struct table *table, const struct merge_batch *batch,
		    const struct refusals *refused)
{
	int32_t last = 0;

	make_room(rounds, batch->total);
	for (int64_t row = 0; row < batch->total; row++)
		rounds->of_row[row] = ROUNDS_NONE;
	for (int64_t i = 0; i < batch->count; i++)
		rounds->of_row[batch->order[i]] = UNKNOWN;
	for (unsigned i = 0; i < refused->count; i++)
		rounds->of_row[refused->list[i].sequence] = ROUNDS_NONE;
	for (int32_t row = 0; row < (int32_t)batch->total; row++) {
		if (rounds->of_row[row] == ROUNDS_NONE)
			continue;
		rounds->of_row[row] = find_one(rounds, table, batch, row);
		if (rounds->of_row[row] > last)
			last = rounds->of_row[row];
	}
	return last;
}

bool rounds_alone(const struct rounds *rounds, int32_t sequence)
{
	return !rounds->repeated[sequence];
}

int32_t rounds_of(const struct rounds *rounds, int32_t sequence)
{
	return rounds->of_row[sequence];
}
