#include "stages/orchestrator/replay_topic.h"

#include <inttypes.h>
#include <jansson.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/kafka_admin.h"
#include "common/mem.h"
#include "common/topics.h"
#include "stages/orchestrator/orchestrator.h"

/* Offsets of one task: about a second's work. */
#define TASK_OFFSETS_SQL "200000"

/*
 * The first part of every partition comes before the second of any, so that partitions advance together. The path is for
 * people: the task's place in lists and messages.
 */
static const char plan_sql[] =
	"INSERT INTO etl.tasks (run, subscription, source, parameters)"
	" SELECT r.run, r.options->>'topic', 'kafka', jsonb_build_object('stage', r.options->>'stage',"
	"        'record_type', r.options->>'record_type', 'schema', r.options->>'schema', 'partition', p.partition,"
	"        'from', f.first, 'to', l.last,"
	"        'path', format('partition %s, offsets %s to %s', p.partition, f.first, l.last))"
	" FROM etl.runs r CROSS JOIN LATERAL jsonb_to_recordset(r.options->'ranges')"
	"      AS p (partition integer, \"from\" bigint, \"to\" bigint)"
	" CROSS JOIN LATERAL generate_series(p.\"from\", p.\"to\" - 1, " TASK_OFFSETS_SQL ") AS f (first)"
	" CROSS JOIN LATERAL (SELECT least(f.first + " TASK_OFFSETS_SQL ", p.\"to\") AS last) l"
	" WHERE r.run = $1 ORDER BY f.first - p.\"from\", p.partition";

bool replay_is_of_topic(const char *options)
{
	CLEANUP(json_freep) json_t *object = json_loads(options, 0, NULL);

	return json_object_get(object, "topic");
}

static struct kafka_offset *places_of(const json_t *ranges, const char *topic)
{
	struct kafka_offset *places = mem_zalloc(json_array_size(ranges) + 1, sizeof(*places));

	for (size_t i = 0; i < json_array_size(ranges); i++)
		places[i] = (struct kafka_offset){
			topic, (int32_t)json_integer_value(json_object_get(json_array_get(ranges, i), "partition")),
			KAFKA_OFFSET_NONE, NULL
		};
	return places;
}

static int check_range(const json_t *range, const struct kafka_offset *low, const struct kafka_offset *end,
		       struct err *err)
{
	int64_t from = json_integer_value(json_object_get(range, "from")),
		to = json_integer_value(json_object_get(range, "to"));

	if (low->offset == KAFKA_OFFSET_NONE || end->offset == KAFKA_OFFSET_NONE)
		return err_set(err, ERR_RECORD, "%s has no partition %" PRId32, low->topic, low->partition);
	if (from >= low->offset && to <= end->offset)
		return 0;
	return err_set(err, ERR_RECORD,
		       "%s [%" PRId32 "]: offsets %" PRId64 " to %" PRId64 " %s: it holds %" PRId64 " to %" PRId64,
		       low->topic, low->partition, from, to,
		       from < low->offset ? "are gone by retention" : "are not all there yet", low->offset,
		       end->offset);
}

int replay_topic_check(struct orchestrator *self, const char *options, struct err *err)
{
	CLEANUP(json_freep) json_t *object = json_loads(options, 0, NULL);
	const json_t *ranges = json_object_get(object, "ranges");
	const char *topic = topics_name(self->topics, json_string_value(json_object_get(object, "topic")));
	CLEANUP(freep) struct kafka_offset *lows = places_of(ranges, topic);
	CLEANUP(freep) struct kafka_offset *ends = places_of(ranges, topic);
	unsigned count = (unsigned)json_array_size(ranges);

	if (orchestrator_admin(self, err) || kafka_admin_edges(self->admin, KAFKA_LOW, lows, count, err) ||
	    kafka_admin_edges(self->admin, KAFKA_STABLE, ends, count, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		if (check_range(json_array_get(ranges, i), &lows[i], &ends[i], err))
			return -1;
	return 0;
}

int replay_topic_plan(struct orchestrator *self, int64_t run, struct err *err)
{
	return pg_query(self->pg, plan_sql, PG_PARAMS(INT_TEXT(run)), NULL, err);
}
