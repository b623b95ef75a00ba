/* Which offsets of a topic's partitions a replay is of: decided once, so that what is looked at is what is put back. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/kafka_admin.h"
#include "common/mem.h"
#include "ops/cli/replay.h"

/* Of all partitions. */
struct edges {
	struct kafka_admin *admin;
	const char *topic;
	unsigned count;
	struct kafka_offset *lows, *ends, *from, *to;
};

static void edges_release(struct edges *e)
{
	kafka_admin_freep(&e->admin);
	free(e->lows);
	free(e->ends);
	free(e->from);
	free(e->to);
}

static struct kafka_offset *new_places(const struct edges *e)
{
	struct kafka_offset *places = mem_zalloc(e->count, sizeof(*places));

	for (unsigned i = 0; i < e->count; i++)
		places[i] = (struct kafka_offset){ e->topic, (int32_t)i, KAFKA_OFFSET_NONE, NULL };
	return places;
}

static int read_topic(struct edges *e, const struct config *cfg, struct err *err)
{
	int32_t partitions;

	if (kafka_admin_open(&e->admin, cfg, err) || kafka_admin_partitions(e->admin, e->topic, &partitions, err))
		return -1;
	if (partitions < 1 || partitions > REPLAY_PARTITIONS_MAX)
		return err_set(err, ERR_FATAL,
			       "topic %s has %" PRId32
			       " partitions, and not 1 to %d; `penstock topics apply` creates it",
			       e->topic, partitions, REPLAY_PARTITIONS_MAX);
	e->count = (unsigned)partitions;
	e->lows = new_places(e);
	e->ends = new_places(e);
	return kafka_admin_edges(e->admin, KAFKA_LOW, e->lows, e->count, err) ||
			       kafka_admin_edges(e->admin, KAFKA_STABLE, e->ends, e->count, err)
		       ? -1
		       : 0;
}

static int find_edge(struct edges *e, const struct replay_edge *edge, struct kafka_offset **ret, struct err *err)
{
	struct kafka_offset *places = *ret = new_places(e);

	if (edge->kind == EDGE_TIME &&
	    kafka_admin_offsets_since(e->admin, edge->value / NS_PER_MS, places, e->count, err))
		return -1;
	for (unsigned i = 0; i < e->count; i++) {
		if (edge->kind == EDGE_EARLIEST)
			places[i].offset = e->lows[i].offset;
		else if (edge->kind == EDGE_OFFSET)
			places[i].offset = edge->value;
		if (places[i].offset == KAFKA_OFFSET_NONE || places[i].offset > e->ends[i].offset)
			places[i].offset = e->ends[i].offset;
	}
	return 0;
}

/* An offset is meant of each partition: one that does not hold it yet has nothing for it, but one of them has to. */
static int check_said(const struct edges *e, const struct replay_edge *edge, struct err *err)
{
	int64_t furthest = 0;

	if (edge->kind != EDGE_OFFSET)
		return 0;
	for (unsigned i = 0; i < e->count; i++) {
		furthest = e->ends[i].offset > furthest ? e->ends[i].offset : furthest;
		if (edge->value < e->lows[i].offset)
			return err_set(err, ERR_RECORD,
				       "%s [%u]: offset %" PRId64 " is gone by retention: it begins at %" PRId64,
				       e->topic, i, edge->value, e->lows[i].offset);
	}
	if (edge->value <= furthest)
		return 0;
	return err_set(err, ERR_RECORD, "offset %" PRId64 " is in the future: no partition of %s goes beyond %" PRId64,
		       edge->value, e->topic, furthest);
}

static void keep_ranges(struct replay *replay, const struct edges *e)
{
	replay->ranges = mem_zalloc(e->count, sizeof(*replay->ranges));
	for (unsigned i = 0; i < e->count; i++) {
		if (e->from[i].offset >= e->to[i].offset)
			continue;
		if (replay->from.kind != EDGE_OFFSET && e->from[i].offset == e->lows[i].offset)
			replay->gone += e->lows[i].offset;
		replay->ranges[replay->range_count++] =
			(struct kafka_range){ e->topic, (int32_t)i, e->from[i].offset, e->to[i].offset };
	}
}

int replay_ranges_find(struct replay *replay, const struct config *cfg, struct err *err)
{
	CLEANUP(edges_release) struct edges e = { .topic = NULL };

	if (topics_open(&replay->topics, cfg, err))
		return -1;
	replay->topic = topics_name(replay->topics, data_types[replay->schema->type].topics[replay->stage]);
	e.topic = replay->topic;
	if (read_topic(&e, cfg, err) || check_said(&e, &replay->from, err) || check_said(&e, &replay->to, err) ||
	    find_edge(&e, &replay->from, &e.from, err) || find_edge(&e, &replay->to, &e.to, err))
		return -1;
	keep_ranges(replay, &e);
	if (replay->range_count > 0)
		return 0;
	return err_set(err, ERR_RECORD, "nothing stands in %s from %s to %s", replay->topic, replay->from.text,
		       replay->to.text);
}
