#pragma once
/*
 * Where a key stands in a hash table of this process: quick, good enough to
 * spread, and no promise to anybody else. Not for what an attacker chooses to
 * collide: the worst is a slow batch.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_SEED UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t hash_word(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd); /* a multiplier of MurmurHash3's finaliser */
	return hash ^ hash >> 32;
}

/* Goes on from `hash`; the length counts, too. */
static inline uint64_t hash_more(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t word = len;

	hash = hash_word(hash, word);
	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		hash = hash_word(hash, word);
	}
	if (len > 0) {
		word = 0;
		memcpy(&word, p, len);
		hash = hash_word(hash, word);
	}
	return hash;
}

static inline uint64_t hash_bytes(const void *bytes, size_t len)
{
	return hash_more(HASH_SEED, bytes, len);
}
