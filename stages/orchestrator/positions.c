#include "stages/orchestrator/positions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"

/* Groups whose offsets are in the database: the topic table does not name them. */
static const char *database_group(const struct topics *topics, const struct topic *topic)
{
	if (strncmp(topic->base, "etl.clean.", strlen("etl.clean.")) == 0 || strcmp(topic->base, "etl.dlq") == 0)
		return topics_group(topics, "penstock.loader");
	if (strcmp(topic->base, "etl.events") == 0)
		return topics_group(topics, "penstock.orchestrator");
	return NULL;
}

static void add(struct positions *positions, const struct topic *topic, const char *group, bool in_database)
{
	if (!group)
		return;
	positions->items =
		mem_realloc(positions->items, positions->count + (size_t)topic->partitions, sizeof(*positions->items));
	for (int32_t p = 0; p < topic->partitions; p++)
		positions->items[positions->count++] = (struct position){ .group = group,
									  .topic = topic,
									  .partition = p,
									  .in_database = in_database,
									  .next = KAFKA_OFFSET_NONE,
									  .low = KAFKA_OFFSET_NONE,
									  .high = KAFKA_OFFSET_NONE,
									  .stopped = mem_strdup("") };
}

void positions_list(struct positions *positions, const struct topics *topics)
{
	positions_release(positions);
	for (unsigned i = 0; i < topics_count(topics); i++) {
		const struct topic *topic = topics_at(topics, i);

		for (unsigned g = 0; g < topic->group_count; g++)
			add(positions, topic, topic->groups[g], false);
		add(positions, topic, database_group(topics, topic), true);
	}
}

void positions_release(struct positions *positions)
{
	for (unsigned i = 0; i < positions->count; i++)
		free(positions->items[i].stopped);
	free(positions->items);
	*positions = (struct positions)POSITIONS_INIT;
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

/* All of one group with one request. */
static int read_group(struct positions *positions, unsigned first, struct kafka_admin *admin, struct err *err)
{
	CLEANUP(freep) struct kafka_offset *offsets = mem_zalloc(positions->count, sizeof(*offsets));
	const char *group = positions->items[first].group;
	unsigned n = 0;

	for (unsigned i = first; i < positions->count; i++)
		if (strcmp(positions->items[i].group, group) == 0)
			offsets[n++] = (struct kafka_offset){ positions->items[i].topic->name,
							      positions->items[i].partition, KAFKA_OFFSET_NONE, NULL };
	if (kafka_admin_offsets(admin, group, offsets, n, err))
		return -1;
	n = 0;
	for (unsigned i = first; i < positions->count; i++)
		if (strcmp(positions->items[i].group, group) == 0)
			positions->items[i].next = offsets[n++].offset;
	return 0;
}

static bool is_first_of_group(const struct positions *positions, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (strcmp(positions->items[i].group, positions->items[at].group) == 0)
			return false;
	return true;
}

static int read_kafka(struct positions *positions, struct kafka_admin *admin, struct err *err)
{
	for (unsigned i = 0; i < positions->count; i++)
		if (!positions->items[i].in_database && is_first_of_group(positions, i) &&
		    read_group(positions, i, admin, err))
			return -1;
	return 0;
}

static void take_row(struct positions *positions, const struct pg_result *r, int row)
{
	for (unsigned i = 0; i < positions->count; i++) {
		struct position *p = &positions->items[i];

		if (!p->in_database || p->partition != pg_int(r, row, 2) || strcmp(p->group, pg_text(r, row, 0)) != 0 ||
		    strcmp(p->topic->name, pg_text(r, row, 1)) != 0)
			continue;
		p->next = pg_int(r, row, 3);
		free(p->stopped);
		p->stopped = mem_strdup(pg_text(r, row, 4));
	}
}

static int read_database(struct positions *positions, struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, "SELECT consumer_group, topic, partition, next_offset, stopped FROM etl.offsets", PG_NO_PARAMS,
		     &r, err))
		return err_wrap(err, "reading etl.offsets");
	for (int i = 0; i < pg_rows(r); i++)
		take_row(positions, r, i);
	return 0;
}

int positions_read(struct positions *positions, struct kafka_admin *admin, struct pg *pg, struct err *err)
{
	return read_kafka(positions, admin, err) || read_database(positions, pg, err) ? -1 : 0;
}

static int read_edge(struct positions *positions, struct kafka_admin *admin, enum kafka_edge edge, struct err *err)
{
	CLEANUP(freep) struct kafka_offset *places = mem_zalloc((size_t)positions->count + 1, sizeof(*places));

	for (unsigned i = 0; i < positions->count; i++)
		places[i] = (struct kafka_offset){ positions->items[i].topic->name, positions->items[i].partition,
						   KAFKA_OFFSET_NONE, NULL };
	if (kafka_admin_edges(admin, edge, places, positions->count, err))
		return -1;
	for (unsigned i = 0; i < positions->count; i++)
		*(edge == KAFKA_LOW ? &positions->items[i].low : &positions->items[i].high) = places[i].offset;
	return 0;
}

int positions_read_all(struct positions *positions, struct kafka_admin *admin, struct pg *pg, struct err *err)
{
	return read_edge(positions, admin, KAFKA_LOW, err) || positions_read(positions, admin, pg, err) ||
			       read_edge(positions, admin, KAFKA_HIGH, err)
		       ? -1
		       : 0;
}

/* --- what it means ----------------------------------------------------------------------------------------------------- */

enum position_state position_state(const struct position *p)
{
	if (p->low == KAFKA_OFFSET_NONE || p->high == KAFKA_OFFSET_NONE)
		return POSITION_MISSING;
	if (p->stopped[0])
		return POSITION_STOPPED;
	if (p->next == KAFKA_OFFSET_NONE)
		return POSITION_NONE;
	if (p->next < p->low)
		return POSITION_GAP;
	return p->next > p->high ? POSITION_AHEAD : POSITION_OK;
}

const char *position_state_name(enum position_state state)
{
	static const char *const names[] = {
		[POSITION_OK] = "ok",       [POSITION_NONE] = "none",       [POSITION_GAP] = "gap",
		[POSITION_AHEAD] = "ahead", [POSITION_STOPPED] = "stopped", [POSITION_MISSING] = "missing",
	};

	return names[state];
}

/* A group of the database that has never read is no trouble: it begins at the beginning. */
bool position_is_gap(const struct position *p)
{
	enum position_state state = position_state(p);

	return state != POSITION_OK && !(state == POSITION_NONE && p->in_database && p->low == 0);
}

/* From the first offset that is still there, where it stands before it or nowhere. */
int64_t position_behind(const struct position *p)
{
	int64_t from = p->next > p->low ? p->next : p->low;

	return p->low == KAFKA_OFFSET_NONE || from >= p->high ? 0 : p->high - from;
}

static void put_offset(struct json_out *out, const char *key, int64_t offset)
{
	json_put_key(out, key);
	if (offset == KAFKA_OFFSET_NONE)
		json_put_null(out);
	else
		json_put_int(out, offset);
}

static void put_text(struct json_out *out, const char *key, const char *text)
{
	json_put_key(out, key);
	json_put_str(out, str_of(text));
}

void position_json(const struct position *p, struct json_out *out)
{
	json_put_open(out, '{');
	put_text(out, "group", p->group);
	put_text(out, "topic", p->topic->name);
	json_put_key(out, "partition");
	json_put_int(out, p->partition);
	put_offset(out, "position", p->next);
	put_offset(out, "low", p->low);
	put_offset(out, "high", p->high);
	json_put_key(out, "lag");
	json_put_int(out, position_behind(p));
	put_text(out, "state", position_state_name(position_state(p)));
	put_text(out, "kept_in", p->in_database ? "database" : "kafka");
	put_text(out, "message", p->stopped);
	json_put_close(out, '}');
}

static void explain_numbers(const struct position *p, struct buf *out)
{
	switch (position_state(p)) {
	case POSITION_OK:
		buf_printf(out, "nothing is wrong");
		break;
	case POSITION_NONE:
		buf_printf(out, "no offset is known (the partition holds %" PRId64 " to %" PRId64 ")", p->low, p->high);
		break;
	case POSITION_GAP:
		buf_printf(out,
			   "offset %" PRId64 " is next, but the partition begins at %" PRId64 ": %" PRId64
			   " offsets are gone",
			   p->next, p->low, p->low - p->next);
		break;
	case POSITION_AHEAD:
		buf_printf(out,
			   "offset %" PRId64 " is next, but the partition ends at %" PRId64 ": it was cut or made anew",
			   p->next, p->high);
		break;
	case POSITION_STOPPED:
		buf_printf(out, "stopped at offset %" PRId64 ": %s", p->next, p->stopped);
		break;
	case POSITION_MISSING:
		buf_printf(out, "there is no such partition");
		break;
	}
}

void position_explain(const struct position *p, struct buf *out)
{
	buf_printf(out, "%s at %s [%d]: ", p->group, p->topic->name, p->partition);
	explain_numbers(p, out);
	if (position_state(p) == POSITION_MISSING)
		buf_printf(out, "; `penstock topics apply` makes it");
	else if (position_state(p) != POSITION_OK)
		buf_printf(out, "; `penstock offsets skip %s %s %d --why TEXT` goes on behind it", p->group,
			   p->topic->name, p->partition);
}
