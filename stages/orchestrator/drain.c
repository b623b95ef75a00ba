#include "stages/orchestrator/drain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/kafka_peek.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/orchestrator.h"

#define PACE_NS (NS_PER_SECOND / 2)
#define PEEK_MS 3000
#define HOPS 3

/* What a marker knows about a place of its hop. */
struct drain_mark {
	int64_t end;    /* must be passed; noted when the marker came to this hop */
	int64_t seen;   /* the position at the last look */
	int64_t record; /* one that stands before the end and was not read at the last look; -1: none is known */
	bool passed;
};

/* Which topics lie on the way, and how far along it: the one place that knows it. */
static int hop_of(const struct topic *topic)
{
	static const struct {
		const char *prefix;
		int hop;
	} way[] = { { "etl.raw.", 0 }, { "etl.valid.", 1 }, { "etl.clean.", 2 }, { "etl.dlq", 2 } };

	for (unsigned i = 0; i < sizeof(way) / sizeof(*way); i++)
		if (strncmp(topic->base, way[i].prefix, strlen(way[i].prefix)) == 0)
			return way[i].hop;
	return -1;
}

static bool is_of_hop(const struct drain *drain, unsigned at)
{
	return hop_of(drain->places.items[at].topic) == drain->hop;
}

static void forget_marker(struct drain *drain)
{
	drain->hop = -1;
}

void drain_release(struct drain *drain)
{
	positions_release(&drain->places);
	free(drain->marks);
	*drain = (struct drain)DRAIN_INIT;
}

bool drain_covers(const struct drain *drain, int64_t since_ns)
{
	return drain->completed_ns > since_ns;
}

/* --- one hop ----------------------------------------------------------------------------------------------------------- */

/* Before that, everything that the hop before wrote has been appended, committed or about to be. */
static int enter(struct drain *drain, struct orchestrator *self, int hop, struct err *err)
{
	if (positions_read_all(&drain->places, self->admin, self->pg, err))
		return -1;
	drain->hop = hop;
	for (unsigned i = 0; i < drain->places.count; i++)
		if (is_of_hop(drain, i))
			drain->marks[i] = (struct drain_mark){
				.end = drain->places.items[i].high,
				.seen = KAFKA_OFFSET_NONE,
				.record = KAFKA_OFFSET_NONE,
			};
	return 0;
}

/*
 * By offsets alone. *ret_peek: the group stands still before the end, which
 * may be because nothing but transactions' marks is left.
 */
static bool passed_by_offsets(struct drain_mark *mark, const struct position *place, bool *ret_peek)
{
	int64_t next = place->next == KAFKA_OFFSET_NONE ? 0 : place->next;
	bool moved = next != mark->seen;

	*ret_peek = false;
	mark->seen = next;
	if (position_is_gap(place))
		return false;
	if (next >= mark->end)
		return true;
	*ret_peek = !moved && next > mark->record;
	return false;
}

static void take_peek(struct drain_mark *mark, const struct kafka_peek *peek)
{
	if (peek->outcome == KAFKA_PEEK_GONE)
		return;
	if (peek->offset >= mark->end)
		mark->passed = true;
	else if (peek->outcome == KAFKA_PEEK_RECORD)
		mark->record = peek->offset;
}

static int look_into(struct drain *drain, struct orchestrator *self, struct kafka_peek *peeks, const unsigned *at,
		     unsigned count, struct err *err)
{
	if (count == 0)
		return 0;
	if (kafka_peek(self->cfg, peeks, count, PEEK_MS, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		take_peek(&drain->marks[at[i]], &peeks[i]);
	return 0;
}

static int look(struct drain *drain, struct orchestrator *self, struct err *err)
{
	CLEANUP(freep) struct kafka_peek *peeks = mem_zalloc((size_t)drain->places.count + 1, sizeof(*peeks));
	CLEANUP(freep) unsigned *at = mem_zalloc((size_t)drain->places.count + 1, sizeof(*at));
	unsigned count = 0;

	if (positions_read_all(&drain->places, self->admin, self->pg, err))
		return -1;
	for (unsigned i = 0; i < drain->places.count; i++) {
		const struct position *place = &drain->places.items[i];
		struct drain_mark *mark = &drain->marks[i];
		bool peek;

		if (!is_of_hop(drain, i) || mark->passed)
			continue;
		mark->passed = passed_by_offsets(mark, place, &peek);
		if (!peek)
			continue;
		at[count] = i;
		peeks[count++] = (struct kafka_peek){ .topic = place->topic->name,
						      .partition = place->partition,
						      .from = mark->seen };
	}
	return look_into(drain, self, peeks, at, count, err);
}

static bool hop_is_passed(const struct drain *drain)
{
	for (unsigned i = 0; i < drain->places.count; i++)
		if (is_of_hop(drain, i) && !drain->marks[i].passed)
			return false;
	return true;
}

/* --- the marker -------------------------------------------------------------------------------------------------------- */

static int start(struct drain *drain, struct orchestrator *self, struct err *err)
{
	if (drain->places.count == 0) {
		positions_list(&drain->places, self->topics);
		drain->marks = mem_zalloc((size_t)drain->places.count + 1, sizeof(*drain->marks));
	}
	drain->started_ns = clock_monotonic_ns(); /* before the first end is read */
	return enter(drain, self, 0, err);
}

static int advance(struct drain *drain, struct orchestrator *self, struct err *err)
{
	if (look(drain, self, err))
		return -1;
	if (!hop_is_passed(drain))
		return 0;
	if (drain->hop + 1 < HOPS)
		return enter(drain, self, drain->hop + 1, err);
	forget_marker(drain);
	drain->completed_ns = drain->started_ns;
	log_debug("marker_completed", NULL, "everything fetched up to %" PRId64 " ms ago has passed every group",
		  (clock_monotonic_ns() - drain->started_ns) / 1000000);
	return 0;
}

int drain_step(struct drain *drain, struct orchestrator *self, bool wanted, struct err *err)
{
	struct err trouble = ERR_INIT;

	if (clock_monotonic_ns() < drain->next_ns || !link_ready(&self->kafka))
		return 0;
	if (!wanted) {
		forget_marker(drain);
		return 0;
	}
	if (orchestrator_admin(self, &trouble) ||
	    (drain->hop < 0 ? start(drain, self, &trouble) : advance(drain, self, &trouble)))
		return orchestrator_trouble(self, &trouble, err);
	drain->next_ns = clock_monotonic_ns() + PACE_NS;
	return 0;
}
