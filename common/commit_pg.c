#include "common/commit_pg.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/worker.h"

#define ARRAY_TEXT_MAX (1024 * 1024)
#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 5000

/* A partition that this process has taken over. */
struct place {
	char *topic;
	int32_t partition;
	int64_t epoch;
	int64_t next;
};

struct commit_pg {
	const struct config *cfg;
	const char *group;
	const char *owner;
	struct commit_pg_effects effects;
	struct pg *pg;
	struct place *places;
	unsigned count;
	unsigned cap;
};

static int connect_again(struct commit_pg *commit, struct err *err)
{
	if (pg_usable(commit->pg))
		return 0;
	pg_freep(&commit->pg);
	if (pg_open(&commit->pg, commit->cfg, commit->owner, err))
		return -1;
	if (commit->effects.opened(commit->effects.self, commit->pg, err)) {
		pg_freep(&commit->pg);
		return -1;
	}
	return 0;
}

int commit_pg_open(struct commit_pg **ret, const struct config *cfg, const char *group, const char *owner,
		   const struct commit_pg_effects *effects, struct err *err)
{
	CLEANUP(commit_pg_freep) struct commit_pg *commit = mem_zalloc(1, sizeof(*commit));

	commit->cfg = cfg;
	commit->group = group;
	commit->owner = owner;
	commit->effects = *effects;
	if (connect_again(commit, err))
		return -1;
	*ret = STEAL(commit);
	return 0;
}

void commit_pg_freep(struct commit_pg **pointer)
{
	struct commit_pg *commit = *pointer;

	if (!commit)
		return;
	pg_freep(&commit->pg);
	for (unsigned i = 0; i < commit->count; i++)
		free(commit->places[i].topic);
	free(commit->places);
	free(commit);
	*pointer = NULL;
}

static struct place *find_place(struct commit_pg *commit, const char *topic, int32_t partition)
{
	for (unsigned i = 0; i < commit->count; i++)
		if (commit->places[i].partition == partition && strcmp(commit->places[i].topic, topic) == 0)
			return &commit->places[i];
	return NULL;
}

static struct place *make_place(struct commit_pg *commit, const char *topic, int32_t partition)
{
	struct place *place = find_place(commit, topic, partition);

	if (place)
		return place;
	if (commit->count == commit->cap) {
		commit->cap = commit->cap ? commit->cap * 2 : 16;
		commit->places = mem_realloc(commit->places, commit->cap, sizeof(*commit->places));
	}
	place = &commit->places[commit->count++];
	*place = (struct place){ .topic = mem_strdup(topic), .partition = partition };
	return place;
}

/* --- takeover -------------------------------------------------------------------------------------------------------- */

/* Raises the epoch: from here on the former owner's commits find no row. Waits for its open transaction. */
static int take_over_one(struct commit_pg *commit, struct kafka_offset *o, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct place *place = make_place(commit, o->topic, o->partition);
	char partition[PG_INT_MAX];

	if (pg_query(commit->pg,
		     "INSERT INTO etl.offsets AS o (consumer_group, topic, partition, epoch, owner)"
		     " VALUES ($1, $2, $3, 1, $4)"
		     " ON CONFLICT (consumer_group, topic, partition)"
		     " DO UPDATE SET epoch = o.epoch + 1, owner = EXCLUDED.owner, updated_at = now()"
		     " RETURNING epoch, next_offset",
		     PG_PARAMS(commit->group, o->topic, pg_int_text(o->partition, partition), commit->owner), &r, err))
		return err_wrap(err, "taking over %s [%d]", o->topic, o->partition);
	place->epoch = pg_int(r, 0, 0);
	place->next = pg_int(r, 0, 1);
	o->offset = place->next;
	return 0;
}

static int take_over_all(struct commit_pg *commit, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	if (connect_again(commit, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		if (take_over_one(commit, &partitions[i], err))
			return -1;
	return 0;
}

/* The database may be away: nothing can go on without it, so this waits, and says so once. */
static int take_over(struct commit_pg *commit, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	int64_t backoff_ms = BACKOFF_FIRST_MS;
	bool said = false;

	while (take_over_all(commit, partitions, count, err)) {
		if (err->kind != ERR_RETRY || worker_stopping())
			return -1;
		if (!said)
			log_warning("database_unavailable", NULL, "%s; waiting", err->text);
		said = true;
		worker_set_ready(false, "waiting for the database");
		backoff_ms = worker_backoff(backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
		err_clear(err);
	}
	return 0;
}

static int assigned(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	return take_over(self, partitions, count, err);
}

static int rewind_batch(void *self, struct kafka_consumer *consumer, struct kafka_offset *partitions, unsigned count,
			struct err *err)
{
	(void)consumer;
	if (take_over(self, partitions, count, err))
		return -1;
	worker_set_ready(true, "");
	return 0;
}

/* --- commit ---------------------------------------------------------------------------------------------------------- */

/* The batch's partitions as parallel PostgreSQL arrays. */
struct arrays {
	struct buf topics, partitions, epochs, starts, nexts;
};

static void arrays_release(struct arrays *a)
{
	buf_release(&a->topics);
	buf_release(&a->partitions);
	buf_release(&a->epochs);
	buf_release(&a->starts);
	buf_release(&a->nexts);
}

#define ARRAYS_INIT \
	{ \
		BUF_INIT(ARRAY_TEXT_MAX), BUF_INIT(ARRAY_TEXT_MAX), BUF_INIT(ARRAY_TEXT_MAX), \
			BUF_INIT(ARRAY_TEXT_MAX), BUF_INIT(ARRAY_TEXT_MAX) \
	}

static int fill_arrays(struct commit_pg *commit, const struct kafka_offset *offsets, unsigned count, struct arrays *a,
		       struct err *err)
{
	for (unsigned i = 0; i < count; i++) {
		const struct place *place = find_place(commit, offsets[i].topic, offsets[i].partition);
		const char *separator = i ? "," : "{";

		if (!place)
			return err_set(err, ERR_FATAL, "%s [%d] was not taken over", offsets[i].topic,
				       offsets[i].partition);
		buf_printf(&a->topics, "%s\"%s\"", separator, place->topic);
		buf_printf(&a->partitions, "%s%d", separator, place->partition);
		buf_printf(&a->epochs, "%s%" PRId64, separator, place->epoch);
		buf_printf(&a->starts, "%s%" PRId64, separator, place->next);
		buf_printf(&a->nexts, "%s%" PRId64, separator, offsets[i].offset);
	}
	buf_put_u8(&a->topics, '}');
	buf_put_u8(&a->partitions, '}');
	buf_put_u8(&a->epochs, '}');
	buf_put_u8(&a->starts, '}');
	buf_put_u8(&a->nexts, '}');
	return 0;
}

/* Before the work: a stale owner learns here that it is one, and everybody locks in the same order. */
static int lock_offsets(struct commit_pg *commit, struct arrays *a, unsigned count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(commit->pg,
		     "SELECT 1 FROM etl.offsets o"
		     " JOIN unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[])"
		     "      AS b (topic, partition, epoch, start)"
		     " ON o.topic = b.topic AND o.partition = b.partition AND o.epoch = b.epoch"
		     "    AND o.next_offset = b.start"
		     " WHERE o.consumer_group = $1 ORDER BY o.topic, o.partition FOR UPDATE OF o",
		     PG_PARAMS(commit->group, buf_text(&a->topics), buf_text(&a->partitions), buf_text(&a->epochs),
			       buf_text(&a->starts)),
		     &r, err))
		return -1;
	if (pg_rows(r) != (int)count)
		return err_set(err, ERR_RETRY, "another worker took over %d of %u partitions", (int)count - pg_rows(r),
			       count);
	return 0;
}

static int swap_offsets(struct commit_pg *commit, struct arrays *a, unsigned count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(commit->pg,
		     "UPDATE etl.offsets o SET next_offset = b.next, updated_at = now()"
		     " FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[])"
		     "      AS b (topic, partition, epoch, start, next)"
		     " WHERE o.consumer_group = $1 AND o.topic = b.topic AND o.partition = b.partition"
		     "   AND o.epoch = b.epoch AND o.next_offset = b.start",
		     PG_PARAMS(commit->group, buf_text(&a->topics), buf_text(&a->partitions), buf_text(&a->epochs),
			       buf_text(&a->starts), buf_text(&a->nexts)),
		     &r, err))
		return -1;
	if (pg_affected(r) != (int64_t)count)
		return err_set(err, ERR_RETRY, "offsets moved under the batch: %" PRId64 " of %u swapped",
			       pg_affected(r), count);
	return 0;
}

static int transact(struct commit_pg *commit, struct arrays *a, unsigned count, struct err *err)
{
	const struct commit_pg_effects *effects = &commit->effects;

	fault_point("before_begin");
	if (pg_begin(commit->pg, err) || lock_offsets(commit, a, count, err) ||
	    effects->write(effects->self, commit->pg, err))
		return -1;
	fault_point("effects_written");
	if (swap_offsets(commit, a, count, err))
		return -1;
	fault_point("before_commit");
	if (pg_commit(commit->pg, err))
		return -1;
	fault_point("after_commit");
	return 0;
}

static int commit_batch(void *self, const struct kafka_offset *offsets, unsigned count, struct err *err)
{
	struct commit_pg *commit = self;
	CLEANUP(arrays_release) struct arrays a = ARRAYS_INIT;

	if (!pg_usable(commit->pg))
		return err_set(err, ERR_RETRY, "database: connection lost");
	if (fill_arrays(commit, offsets, count, &a, err) ||
	    commit->effects.prepare(commit->effects.self, commit->pg, err) || transact(commit, &a, count, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		find_place(commit, offsets[i].topic, offsets[i].partition)->next = offsets[i].offset;
	commit->effects.forget(commit->effects.self, true);
	return 0;
}

static int begin(void *self, struct kafka_consumer *consumer, struct err *err)
{
	(void)self;
	(void)consumer;
	(void)err;
	return 0;
}

static int abort_batch(void *self, struct err *err)
{
	struct commit_pg *commit = self;

	(void)err;
	if (pg_usable(commit->pg))
		pg_rollback(commit->pg);
	commit->effects.forget(commit->effects.self, false);
	return 0;
}

struct commit_ops commit_pg_ops(struct commit_pg *commit)
{
	return (struct commit_ops){
		.self = commit,
		.begin = begin,
		.commit = commit_batch,
		.abort = abort_batch,
		.assigned = assigned,
		.rewind = rewind_batch,
	};
}
