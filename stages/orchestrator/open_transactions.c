#include "stages/orchestrator/open_transactions.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "stages/orchestrator/gauges.h"

void open_transactions_release(struct open_transactions *self)
{
	gauges_hide_open_transactions();
	free(self->ends);
	free(self->stables);
	free(self->places);
	*self = (struct open_transactions){ 0 };
}

static void list(struct open_transactions *self, const struct topics *topics)
{
	unsigned count = 0;

	for (unsigned i = 0; i < topics_count(topics); i++)
		count += (unsigned)topics_at(topics, i)->partitions;
	self->ends = mem_zalloc(count, sizeof(*self->ends));
	self->stables = mem_zalloc(count, sizeof(*self->stables));
	self->places = mem_zalloc(count, sizeof(*self->places));
	for (unsigned i = 0; i < topics_count(topics); i++)
		for (int32_t p = 0; p < topics_at(topics, i)->partitions; p++)
			self->places[self->count++].topic = topics_at(topics, i);
}

static void begin(struct open_transactions *self, struct kafka_offset *offsets)
{
	int32_t partition = 0;

	for (unsigned i = 0; i < self->count; i++) {
		if (i > 0 && self->places[i].topic != self->places[i - 1].topic)
			partition = 0;
		offsets[i] = (struct kafka_offset){ self->places[i].topic->name, partition++, KAFKA_OFFSET_NONE, NULL };
	}
}

static void look(struct open_place *place, int64_t stable, int64_t end, int64_t now)
{
	bool open = stable != KAFKA_OFFSET_NONE && end > stable;

	if (!open)
		place->since_ns = 0;
	else if (place->since_ns == 0 || place->stable != stable)
		place->since_ns = now;
	place->stable = stable;
}

/* Partitions of a topic are neighbours. */
static void show(const struct open_transactions *self, int64_t now)
{
	int64_t oldest = 0;

	for (unsigned i = 0; i < self->count; i++) {
		const struct open_place *place = &self->places[i];

		if (place->since_ns > 0 && now - place->since_ns > oldest)
			oldest = now - place->since_ns;
		if (i + 1 < self->count && place[1].topic == place->topic)
			continue;
		gauges_open_transaction(place->topic->name, oldest / NS_PER_SECOND);
		oldest = 0;
	}
}

int open_transactions_watch(struct open_transactions *self, const struct topics *topics, struct kafka_admin *admin,
			    struct err *err)
{
	int64_t now;

	if (self->count == 0)
		list(self, topics);
	begin(self, self->ends);
	begin(self, self->stables);
	if (kafka_admin_edges(admin, KAFKA_STABLE, self->stables, self->count, err) ||
	    kafka_admin_edges(admin, KAFKA_HIGH, self->ends, self->count, err))
		return -1;
	now = clock_monotonic_ns();
	for (unsigned i = 0; i < self->count; i++)
		look(&self->places[i], self->stables[i].offset, self->ends[i].offset, now);
	show(self, now);
	return 0;
}
