#include "stages/fetcher/sources/databento/place.h"

#include <string.h>

#define PRIME UINT64_C(0x9E3779B97F4A7C15)

/* Tells accidental differences, no attacker's. */
static uint64_t hash_bytes(uint64_t hash, struct str bytes)
{
	uint64_t word;

	for (; bytes.len >= sizeof(word); bytes.data += sizeof(word), bytes.len -= (uint32_t)sizeof(word)) {
		memcpy(&word, bytes.data, sizeof(word));
		hash = (hash ^ word) * PRIME;
		hash ^= hash >> 29;
	}
	for (; bytes.len > 0; bytes.data++, bytes.len--)
		hash = (hash ^ (uint8_t)*bytes.data) * PRIME;
	return hash;
}

void place_pass(struct place *place, int64_t index, struct str bytes)
{
	if (index > place->index)
		*place = (struct place){ .index = index };
	place->count++;
	place->hash = hash_bytes(place->hash + 1, bytes);
}

bool place_same(const struct place *a, const struct place *b)
{
	return a->index == b->index && a->count == b->count && a->hash == b->hash;
}
