#include "stages/orchestrator/mix_sum.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/record.h"

#define STRIDE (INT64_C(1) << 20)
#define SUMS_MAX (1u << 16) /* of 512 KiB; beyond 2^36 records each sum starts from the last one kept */

void mix_sum_release(struct mix_sum *mix)
{
	free(mix->sums);
	*mix = (struct mix_sum)MIX_SUM_INIT;
}

static uint64_t sum_range(int64_t after, int64_t to)
{
	uint64_t sum = 0;

	for (int64_t i = after + 1; i <= to; i++)
		sum += record_mix(i);
	return sum;
}

static void extend(struct mix_sum *mix, int64_t strides)
{
	while (mix->count < strides && mix->count < SUMS_MAX) {
		uint64_t before = mix->count ? mix->sums[mix->count - 1] : 0;

		if (mix->count == mix->cap) {
			mix->cap = mix->cap ? mix->cap * 2 : 16;
			mix->sums = mem_realloc(mix->sums, mix->cap, sizeof(*mix->sums));
		}
		mix->sums[mix->count] = before + sum_range(mix->count * STRIDE, (mix->count + 1) * STRIDE);
		mix->count++;
	}
}

uint64_t mix_sum_to(struct mix_sum *mix, int64_t n)
{
	int64_t strides = n / STRIDE;

	extend(mix, strides);
	if (strides > mix->count)
		strides = mix->count;
	return (strides ? mix->sums[strides - 1] : 0) + sum_range(strides * STRIDE, n);
}
