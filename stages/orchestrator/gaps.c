#include "stages/orchestrator/gaps.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/api/offsets.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"

#define MESSAGE_MAX 4096
#define ARRAYS_MAX (1024 * 1024)

void gaps_release(struct gaps *gaps)
{
	gauges_lag(NULL);
	api_offsets_take(NULL);
	positions_release(&gaps->places);
	free(gaps->seen);
	*gaps = (struct gaps){ 0 };
}

static int store(struct orchestrator *self, const struct position *place, struct err *err)
{
	CLEANUP(buf_release) struct buf message = BUF_INIT(MESSAGE_MAX);
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	position_explain(place, &message);
	if (pg_query(self->pg,
		     "INSERT INTO etl.gaps AS g (consumer_group, topic, partition, message) VALUES ($1, $2, $3, $4)"
		     " ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET message = EXCLUDED.message"
		     " RETURNING xmax = 0",
		     PG_PARAMS(place->group, place->topic->name, INT_TEXT(place->partition), buf_text(&message)), &r,
		     err))
		return -1;
	if (pg_bool(r, 0, 0))
		log_error("offset_gap",
			  LOG_FIELDS(log_str("group", place->group), log_str("topic", place->topic->name),
				     log_i64("partition", place->partition), log_i64("next_offset", place->next),
				     log_i64("low", place->low), log_i64("high", place->high),
				     log_str("state", position_state_name(position_state(place)))),
			  "%s", buf_text(&message));
	return 0;
}

/* Those that stand now, as parallel arrays. */
struct standing {
	struct buf groups, topics, partitions;
	unsigned count;
};

static void standing_release(struct standing *s)
{
	buf_release(&s->groups);
	buf_release(&s->topics);
	buf_release(&s->partitions);
}

static void add_standing(struct standing *s, const struct position *place)
{
	const char *separator = s->count++ ? "," : "";

	buf_printf(&s->groups, "%s\"%s\"", separator, place->group);
	buf_printf(&s->topics, "%s\"%s\"", separator, place->topic->name);
	buf_printf(&s->partitions, "%s%d", separator, place->partition);
}

/* $1 to $3: the gaps that stand. */
static const char forget_sql[] =
	"WITH over AS (DELETE FROM etl.gaps WHERE (consumer_group, topic, partition) NOT IN"
	" (SELECT * FROM unnest($1::text[], $2::text[], $3::integer[]))"
	" RETURNING consumer_group, topic, partition, message, since),"
	" booked AS (INSERT INTO etl.expired (consumer_group, topic, partition, from_offset, to_offset, why, who)"
	" SELECT consumer_group, topic, partition, 0, 0, 'nobody skipped what was missing: ' || message,"
	" 'the orchestrator' FROM over o WHERE NOT EXISTS (SELECT 1 FROM etl.expired x"
	" WHERE (x.consumer_group, x.topic, x.partition) = (o.consumer_group, o.topic, o.partition)"
	" AND x.booked_at >= o.since))"
	" SELECT consumer_group, topic, partition FROM over";

static int forget_others(struct orchestrator *self, struct standing *s, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	buf_put_u8(&s->groups, '}');
	buf_put_u8(&s->topics, '}');
	buf_put_u8(&s->partitions, '}');
	if (pg_query(self->pg, forget_sql,
		     PG_PARAMS(buf_text(&s->groups), buf_text(&s->topics), buf_text(&s->partitions)), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		log_info("offset_gap_over",
			 LOG_FIELDS(log_str("group", pg_text(r, i, 0)), log_str("topic", pg_text(r, i, 1)),
				    log_i64("partition", pg_int(r, i, 2))),
			 "%s at %s [%s] can go on", pg_text(r, i, 0), pg_text(r, i, 1), pg_text(r, i, 2));
	return 0;
}

/* --- groups that went back ------------------------------------------------------------------------------------------- */

/* A skip that goes back was booked by who did it, since the look before. */
static const char went_back_sql[] =
	"INSERT INTO etl.expired (consumer_group, topic, partition, from_offset, to_offset, why, who)"
	" SELECT $1, $2, $3, $4, $5, 'the group went back: its log was made anew, or its offset was set',"
	" 'the orchestrator' WHERE NOT EXISTS (SELECT 1 FROM etl.expired WHERE consumer_group = $1 AND topic = $2"
	" AND partition = $3::integer AND booked_at > now() - interval '1 minute')";

/* The loader's positions go back with the database, and what it had is gone with them. */
static bool went_back(const struct gaps *gaps, unsigned i)
{
	const struct position *place = &gaps->places.items[i];

	return !place->in_database && place->next != KAFKA_OFFSET_NONE && gaps->seen[i] != KAFKA_OFFSET_NONE &&
	       place->next < gaps->seen[i];
}

static int book(struct orchestrator *self, const struct position *place, int64_t seen, struct err *err)
{
	log_warning("offset_went_back",
		    LOG_FIELDS(log_str("group", place->group), log_str("topic", place->topic->name),
			       log_i64("partition", place->partition), log_i64("from_offset", seen),
			       log_i64("next_offset", place->next)),
		    "%s at %s [%d] went back from %" PRId64 " to %" PRId64, place->group, place->topic->name,
		    place->partition, seen, place->next);
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg, went_back_sql,
		     PG_PARAMS(place->group, place->topic->name, INT_TEXT(place->partition), INT_TEXT(seen),
			       INT_TEXT(place->next)),
		     NULL, err) ||
	    pg_commit(self->pg, err))
		return err_wrap(err, "booking what a group missed");
	return 0;
}

static int book_all(struct gaps *gaps, struct orchestrator *self, struct err *err)
{
	for (unsigned i = 0; i < gaps->places.count; i++) {
		int64_t next = gaps->places.items[i].next;

		if (went_back(gaps, i) && book(self, &gaps->places.items[i], gaps->seen[i], err))
			return -1;
		if (next != KAFKA_OFFSET_NONE)
			gaps->seen[i] = next;
	}
	return 0;
}

/* --- a look ---------------------------------------------------------------------------------------------------------- */

static int store_all(struct gaps *gaps, struct orchestrator *self, struct standing *standing, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err))
		return -1;
	for (unsigned i = 0; i < gaps->places.count; i++) {
		const struct position *place = &gaps->places.items[i];

		if (!position_is_gap(place))
			continue;
		add_standing(standing, place);
		if (store(self, place, err))
			return -1;
	}
	return forget_others(self, standing, err) || pg_commit(self->pg, err) ? -1 : 0;
}

static bool any_gap(const struct gaps *gaps)
{
	for (unsigned i = 0; i < gaps->places.count; i++)
		if (position_is_gap(&gaps->places.items[i]))
			return true;
	return false;
}

static int update(struct gaps *gaps, struct orchestrator *self, struct err *err)
{
	CLEANUP(standing_release)
	struct standing standing = { BUF_INIT(ARRAYS_MAX), BUF_INIT(ARRAYS_MAX), BUF_INIT(ARRAYS_MAX), 0 };
	bool any = any_gap(gaps);

	if (!any && gaps->clean)
		return 0;
	buf_put_u8(&standing.groups, '{');
	buf_put_u8(&standing.topics, '{');
	buf_put_u8(&standing.partitions, '{');
	if (store_all(gaps, self, &standing, err))
		return err_wrap(err, "keeping gaps");
	gaps->clean = !any;
	return 0;
}

static void list(struct gaps *gaps, const struct orchestrator *self)
{
	positions_list(&gaps->places, self->topics);
	gaps->seen = mem_zalloc((size_t)gaps->places.count + 1, sizeof(*gaps->seen));
	for (unsigned i = 0; i < gaps->places.count; i++)
		gaps->seen[i] = KAFKA_OFFSET_NONE;
}

int gaps_watch(struct gaps *gaps, struct orchestrator *self, struct err *err)
{
	struct err trouble = ERR_INIT;

	if (!link_ready(&self->kafka))
		return 0;
	if (gaps->places.count == 0)
		list(gaps, self);
	if (orchestrator_admin(self, &trouble) || positions_read_all(&gaps->places, self->admin, self->pg, &trouble))
		return orchestrator_trouble(self, &trouble, err);
	gauges_lag(&gaps->places);
	api_offsets_take(&gaps->places);
	return book_all(gaps, self, err) || update(gaps, self, err) ? -1 : 0;
}
