#include "common/commit_pg.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/cleanup.h"
#include "common/commit_pg_internal.h"
#include "common/mem.h"

#define BATCH_TEXT_MAX ((size_t)1024 * 1024)

/* In the writing thread. */
static void write_batch(void *self)
{
	struct commit_pg *commit = self;

	commit->committed = commit_pg_transact(commit, &commit->failed) == 0;
	if (commit->committed)
		commit->effects.written(commit->effects.self);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

int commit_pg_connect(struct commit_pg *commit, struct err *err)
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
	commit->batch = (struct buf)BUF_INIT(BATCH_TEXT_MAX);
	if (errand_open(&commit->writing, write_batch, commit, "writing batches", err) ||
	    commit_pg_connect(commit, err))
		return -1;
	*ret = STEAL(commit);
	return 0;
}

void commit_pg_freep(struct commit_pg **pointer)
{
	struct commit_pg *commit = *pointer;

	if (!commit)
		return;
	errand_freep(&commit->writing);
	pg_freep(&commit->pg);
	buf_release(&commit->batch);
	free(commit->owned);
	free(commit->cluster_id);
	free(commit);
	*pointer = NULL;
}

struct owned *commit_pg_owned(struct commit_pg *commit, const char *topic, int32_t partition)
{
	for (unsigned i = 0; i < commit->count; i++)
		if (commit->owned[i].partition == partition && strcmp(commit->owned[i].topic, topic) == 0)
			return &commit->owned[i];
	return NULL;
}

/* --- rows of its own ------------------------------------------------------------------------------------------------- */

/* Changes the partition's row, unless somebody else owns it by now; more: the fifth parameter, or NULL. */
static int update_owned(struct commit_pg *commit, const struct owned *owned, const char *sql, const char *more,
			struct pg_result **ret, struct err *err)
{
	const char *const params[] = { commit->group, owned->topic, INT_TEXT(owned->partition), INT_TEXT(owned->epoch),
				       more };

	return pg_query(commit->pg, sql, params, more ? 5 : 4, ret, err);
}

#define UPDATE_OWNED(what) \
	"UPDATE etl.offsets SET " what " WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND epoch = $4"

/* --- the log is the one it was --------------------------------------------------------------------------------------- */

int64_t commit_pg_crc(const struct kafka_message *m)
{
	uLong crc = crc32(0, (const Bytef *)m->key.data, m->key.len);

	return (int64_t)crc32(crc, (const Bytef *)m->value.data, m->value.len);
}

static int check(void *self, const struct kafka_message *m, struct err *err)
{
	struct commit_pg *commit = self;
	const struct owned *owned = commit_pg_owned(commit, m->topic, m->partition);
	struct err why = ERR_INIT;

	if (m->offset == owned->last_offset && m->timestamp_ms == owned->last_timestamp_ms &&
	    commit_pg_crc(m) == owned->last_crc)
		return 0;
	err_set(&why, ERR_RECORD,
		"%s [%d] is another log than the one that was read: offset %" PRId64
		" holds something else than was loaded from there",
		m->topic, m->partition, owned->last_offset);
	errand_wait(commit->writing);
	if (update_owned(commit, owned, UPDATE_OWNED("stopped = $5, updated_at = now()"), why.text, NULL, err))
		return -1;
	*err = why;
	return -1;
}

static int stored(void *self, struct kafka_consumer *consumer, const struct stage_position *position, int64_t *ret_next,
		  bool *ret_moved, struct err *err)
{
	struct commit_pg *commit = self;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	const struct owned *owned = commit_pg_owned(commit, position->topic, position->partition);

	(void)consumer;
	errand_wait(commit->writing);
	if (commit_pg_connect(commit, err) ||
	    pg_query(commit->pg,
		     "SELECT next_offset, epoch FROM etl.offsets WHERE consumer_group = $1 AND topic = $2"
		     " AND partition = $3",
		     PG_PARAMS(commit->group, position->topic, INT_TEXT(position->partition)), &r, err))
		return -1;
	if (pg_rows(r) == 0)
		return err_set(err, ERR_RETRY, "%s [%d] has no row in etl.offsets", position->topic,
			       position->partition);
	*ret_next = pg_int(r, 0, 0);
	*ret_moved = pg_int(r, 0, 1) != owned->epoch;
	return 0;
}

/* --- starts ---------------------------------------------------------------------------------------------------------- */

static int add_starts(struct commit_pg *commit, const struct stage_position *position, const char *sql,
		      struct pg_result **ret, struct err *err)
{
	const struct owned *owned = commit_pg_owned(commit, position->topic, position->partition);

	errand_wait(commit->writing);
	commit->fenced = false;
	if (!pg_usable(commit->pg))
		return err_set(err, ERR_RETRY, "database: connection lost");
	return update_owned(commit, owned, sql, NULL, ret, err);
}

static int started(void *self, struct kafka_consumer *consumer, const struct stage_position *position,
		   unsigned *ret_starts, struct err *err)
{
	struct commit_pg *commit = self;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	(void)consumer;
	if (add_starts(commit, position, UPDATE_OWNED("starts = starts + 1") " RETURNING starts", &r, err))
		return -1;
	commit->fenced = pg_rows(r) == 0;
	if (commit->fenced)
		return err_set(err, ERR_RETRY, "another worker took over %s [%d]", position->topic,
			       position->partition);
	*ret_starts = (unsigned)pg_int(r, 0, 0);
	return 0;
}

static int unstarted(void *self, struct kafka_consumer *consumer, const struct stage_position *position,
		     struct err *err)
{
	(void)consumer;
	return add_starts(self, position, UPDATE_OWNED("starts = greatest(starts - 1, 0)"), NULL, err);
}

/* --- commit ---------------------------------------------------------------------------------------------------------- */

static bool busy(void *self, int64_t ms)
{
	const struct commit_pg *commit = self;

	return ms ? errand_busy_after(commit->writing, ms) : errand_busy(commit->writing);
}

/* What was on its way has arrived, or not. */
static void arrive(struct commit_pg *commit, bool committed)
{
	commit->leaving = false;
	for (unsigned i = 0; i < commit->count; i++) {
		struct owned *owned = &commit->owned[i];

		if (committed && owned->leaving != KAFKA_OFFSET_NONE)
			owned->next = owned->leaving;
		owned->leaving = KAFKA_OFFSET_NONE;
	}
}

static int settle(void *self, struct err *err)
{
	struct commit_pg *commit = self;

	if (!commit->leaving)
		return 0;
	errand_wait(commit->writing);
	arrive(commit, commit->committed);
	if (commit->committed)
		return 0;
	*err = commit->failed;
	return -1;
}

static int hand_over(void *self, const struct stage_position *positions, unsigned count, struct err *err)
{
	struct commit_pg *commit = self;

	if (settle(commit, err))
		return -1;
	commit->fenced = false;
	if (!pg_usable(commit->pg))
		return err_set(err, ERR_RETRY, "database: connection lost");
	if (commit_pg_describe(commit, positions, count, err))
		return -1;
	commit->effects.hand_over(commit->effects.self);
	err_clear(&commit->failed);
	commit->leaving = true;
	errand_start(commit->writing);
	return 0;
}

static int commit_batch(void *self, const struct stage_position *positions, unsigned count, struct err *err)
{
	return hand_over(self, positions, count, err) || settle(self, err) ? -1 : 0;
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
	struct err known = ERR_INIT; /* by being dropped */

	(void)err;
	settle(commit, &known);
	if (pg_usable(commit->pg))
		pg_rollback(commit->pg);
	commit->effects.dropped(commit->effects.self);
	return 0;
}

static bool was_away(void *self)
{
	const struct commit_pg *commit = self;

	errand_wait(commit->writing);
	return !pg_alive(commit->pg);
}

static bool fenced(void *self)
{
	const struct commit_pg *commit = self;

	return commit->fenced;
}

struct commit_ops commit_pg_ops(struct commit_pg *commit)
{
	return (struct commit_ops){
		.self = commit,
		.begin = begin,
		.commit = commit_batch,
		.hand_over = hand_over,
		.busy = busy,
		.settle = settle,
		.abort = abort_batch,
		.assigned = commit_pg_assigned,
		.rewind = commit_pg_rewind,
		.check = check,
		.stored = stored,
		.started = started,
		.unstarted = unstarted,
		.was_away = was_away,
		.fenced = fenced,
	};
}
