#include "ops/simulator/market/instruments.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define ID_DAILY_SHIFT 613
#define IDS_MIN 10007

static int compare_raw(const void *a, const void *b, void *list)
{
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int order = strcmp(((const struct instrument *)list)[i].raw, ((const struct instrument *)list)[j].raw);

	return order ? order : (i > j) - (i < j);
}

void instruments_open(struct instruments *ret, const struct dataset *dataset, const struct market_options *options)
{
	static void (*const list[])(struct instruments *, const struct market_options *) = {
		[MARKET_EQUITIES] = shares_list,
		[MARKET_FUTURES] = futures_list,
		[MARKET_OPTIONS] = options_list,
	};

	*ret = (struct instruments){ .dataset = dataset };
	list[dataset->kind](ret, options);
	ret->by_raw = mem_alloc((ret->count + 1) * sizeof(*ret->by_raw));
	for (uint32_t i = 0; i < ret->count; i++)
		ret->by_raw[i] = i;
	qsort_r(ret->by_raw, ret->count, sizeof(*ret->by_raw), compare_raw, ret->list);
}

void instruments_release(struct instruments *instruments)
{
	free(instruments->list);
	free(instruments->by_raw);
	*instruments = (struct instruments){ 0 };
}

struct instrument *instruments_add(struct instruments *instruments)
{
	if (instruments->count == instruments->capacity) {
		instruments->capacity = instruments->capacity ? 2 * instruments->capacity : 64;
		instruments->list = mem_realloc(instruments->list, instruments->capacity, sizeof(*instruments->list));
	}
	instruments->list[instruments->count] = (struct instrument){ .strike = INT64_MAX };
	return &instruments->list[instruments->count++];
}

static uint64_t id_range(const struct instruments *instruments)
{
	return instruments->count > IDS_MIN / 2 ? (uint64_t)instruments->count * 2 + 1 : IDS_MIN;
}

uint32_t instruments_id(const struct instruments *instruments, const struct instrument *instrument, int32_t day)
{
	uint64_t index = (uint64_t)(instrument - instruments->list);

	if (instruments->dataset->kind != MARKET_EQUITIES)
		return instrument->id;
	return (uint32_t)(1 + (index + (uint64_t)day * ID_DAILY_SHIFT) % id_range(instruments));
}

static const struct instrument *share_by_id(const struct instruments *instruments, uint32_t id, int32_t day)
{
	uint64_t range = id_range(instruments), shift = (uint64_t)day * ID_DAILY_SHIFT % range, index;

	if (id == 0 || id > range)
		return NULL;
	index = (id - 1 + range - shift) % range;
	return index < instruments->count ? &instruments->list[index] : NULL;
}

const struct instrument *instruments_by_id(const struct instruments *instruments, uint32_t id, int32_t day)
{
	const struct instrument *found = NULL;

	if (instruments->dataset->kind == MARKET_EQUITIES)
		found = share_by_id(instruments, id, day);
	else
		for (uint32_t i = 0; i < instruments->count && !found; i++)
			if (instruments->list[i].id == id)
				found = &instruments->list[i];
	return found && instrument_is_listed(found, day) ? found : NULL;
}

static int compare_text(struct str text, const char *raw)
{
	int order = strncmp(text.data, raw, text.len);

	return order ? order : -(raw[text.len] != '\0');
}

uint32_t instruments_by_raw(const struct instruments *instruments, struct str raw, uint32_t *ret_first)
{
	uint32_t low = 0, high = instruments->count, count = 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare_text(raw, instruments->list[instruments->by_raw[middle]].raw) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_first = low;
	while (low + count < instruments->count &&
	       compare_text(raw, instruments->list[instruments->by_raw[low + count]].raw) == 0)
		count++;
	return count;
}

bool instrument_is_listed(const struct instrument *instrument, int32_t day)
{
	return day >= instrument->first_day && day < instrument->end_day;
}

const struct instrument *futures_ranked(const struct instruments *instruments, struct str product, uint32_t rank,
					int32_t day)
{
	for (uint32_t i = 0; i < instruments->count; i++) { /* a product's contracts stand in the order of their ends */
		const struct instrument *candidate = &instruments->list[i];

		if (str_eq(str_of(candidate->asset), product) && instrument_is_listed(candidate, day) && rank-- == 0)
			return candidate;
	}
	return NULL;
}
