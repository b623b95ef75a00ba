#include "ops/simulator/market/history.h"

#include <string.h>

#include "common/mem.h"
#include "ops/simulator/market/chance.h"

static const char *const condition_names[CONDITIONS] = { "available", "degraded", "pending", "missing" };

const char *day_condition_name(enum day_condition condition)
{
	return condition_names[condition];
}

bool day_condition_parse(struct str text, enum day_condition *ret)
{
	for (unsigned i = 0; i < CONDITIONS; i++)
		if (str_eq(text, str_of(condition_names[i]))) {
			*ret = (enum day_condition)i;
			return true;
		}
	return false;
}

static int full(struct err *err)
{
	return err_set(err, ERR_RETRY, "%d changes are kept, not more", HISTORY_CHANGES_MAX);
}

int archive_change(struct archive *archive, const struct change *change, struct err *err)
{
	struct history *now = &archive->now;
	bool room;

	pthread_mutex_lock(&archive->lock);
	room = now->change_count < HISTORY_CHANGES_MAX;
	if (room)
		now->changes[now->change_count++] = *change;
	pthread_mutex_unlock(&archive->lock);
	return room ? 0 : full(err);
}

int archive_day(struct archive *archive, const struct day_state *state, struct err *err)
{
	struct history *now = &archive->now;
	bool room;

	pthread_mutex_lock(&archive->lock);
	room = now->day_count < HISTORY_CHANGES_MAX;
	if (room)
		now->days[now->day_count++] = *state;
	pthread_mutex_unlock(&archive->lock);
	return room ? 0 : full(err);
}

void archive_clear(struct archive *archive)
{
	pthread_mutex_lock(&archive->lock);
	archive->now.change_count = archive->now.day_count = 0;
	pthread_mutex_unlock(&archive->lock);
}

struct history *archive_copy(struct archive *archive, const struct dataset *dataset)
{
	struct history *copy = mem_alloc(sizeof(*copy));
	uint32_t count;

	pthread_mutex_lock(&archive->lock);
	*copy = archive->now;
	pthread_mutex_unlock(&archive->lock);
	count = copy->change_count;
	copy->change_count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (copy->changes[i].dataset == dataset)
			copy->changes[copy->change_count++] = copy->changes[i];
	return copy;
}

/* A correction is newer than whatever a day was before. */
static int32_t corrected_day(const struct history *history, int32_t day)
{
	int32_t modified = day + 1;

	for (uint32_t i = 0; i < history->change_count; i++) {
		const struct change *change = &history->changes[i];

		if (change->start < (day + 1) * NS_PER_DAY && change->end > day * NS_PER_DAY &&
		    change->modified_day > modified)
			modified = change->modified_day;
	}
	return modified;
}

enum day_condition history_condition(const struct history *history, const struct dataset *dataset, int32_t day,
				     int32_t *ret_modified_day)
{
	uint64_t place = chance(history->seed ^ UINT64_C(0xDE64ADED), (uint64_t)day * 256 + dataset->number);

	*ret_modified_day = corrected_day(history, day);
	for (uint32_t i = history->day_count; i-- > 0;) { /* the newest counts */
		const struct day_state *state = &history->days[i];

		if (state->day != day || (state->dataset && state->dataset != dataset))
			continue;
		if (state->modified_day > *ret_modified_day)
			*ret_modified_day = state->modified_day;
		return state->condition;
	}
	return chance_below(place, 1000) < history->degraded_permille ? CONDITION_DEGRADED : CONDITION_AVAILABLE;
}

int history_revision(const struct history *history, const char *symbol, int64_t ns)
{
	int revision = 0;

	for (uint32_t i = 0; i < history->change_count; i++) {
		const struct change *change = &history->changes[i];

		if (ns < change->start || ns >= change->end ||
		    (strcmp(change->symbol, symbol) != 0 && strcmp(change->symbol, "*") != 0))
			continue;
		if (change->kind == CHANGE_WITHDRAWAL)
			return -1;
		revision++;
	}
	return revision;
}
