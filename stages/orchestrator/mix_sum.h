#pragma once
/*
 * record_mix(1) + … + record_mix(n) modulo 2^64, for any n, from sums kept at
 * every 2^20th ordinal: what an attempt of n records must sum to.
 */
#include <stdint.h>

struct mix_sum {
	uint64_t *sums; /* sums[i]: over 1 … (i + 1) * 2^20 */
	uint32_t count;
	uint32_t cap;
};

#define MIX_SUM_INIT \
	{ \
		0 \
	}

void mix_sum_release(struct mix_sum *mix);
uint64_t mix_sum_to(struct mix_sum *mix, int64_t n);
