#include "common/commit_pg.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/cleanup.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/worker.h"

#define BATCH_TEXT_MAX (1024 * 1024)
#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 5000
#define PATIENCE_MS 3000 /* for sessions that hold what a takeover needs */

/* A partition that this process has taken over. */
struct owned {
	const char *topic; /* the stage's */
	int32_t partition;
	int64_t epoch;
	int64_t next;
	int64_t last_offset; /* KAFKA_OFFSET_NONE: nothing to compare */
	int64_t last_timestamp_ms, last_crc;
};

struct commit_pg {
	const struct config *cfg;
	const char *group;
	const char *owner;
	struct commit_pg_effects effects;
	struct pg *pg;
	struct owned *owned;
	unsigned count;
	unsigned cap;
	bool fenced;
	char *cluster_id;
};

/* --- life ------------------------------------------------------------------------------------------------------------ */

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
	free(commit->owned);
	free(commit->cluster_id);
	free(commit);
	*pointer = NULL;
}

static struct owned *find_owned(struct commit_pg *commit, const char *topic, int32_t partition)
{
	for (unsigned i = 0; i < commit->count; i++)
		if (commit->owned[i].partition == partition && strcmp(commit->owned[i].topic, topic) == 0)
			return &commit->owned[i];
	return NULL;
}

static struct owned *make_owned(struct commit_pg *commit, const char *topic, int32_t partition)
{
	struct owned *owned = find_owned(commit, topic, partition);

	if (owned)
		return owned;
	if (commit->count == commit->cap) {
		commit->cap = commit->cap ? commit->cap * 2 : 16;
		commit->owned = mem_realloc(commit->owned, commit->cap, sizeof(*commit->owned));
	}
	owned = &commit->owned[commit->count++];
	*owned = (struct owned){ .topic = topic, .partition = partition };
	return owned;
}

/* --- takeover -------------------------------------------------------------------------------------------------------- */

/*
 * Raises the epoch: from here on the former owner's commits find no row. Its
 * open transaction is waited for, then ended: it may be that of a process that
 * hangs.
 */
static const char take_over_sql[] =
	"INSERT INTO etl.offsets AS o (consumer_group, topic, partition, epoch, owner, cluster_id)"
	" VALUES ($1, $2, $3, 1, $4, $5)"
	" ON CONFLICT (consumer_group, topic, partition)"
	" DO UPDATE SET epoch = o.epoch + 1, owner = EXCLUDED.owner, stopped = '', updated_at = now(),"
	" cluster_id = CASE o.cluster_id WHEN '' THEN EXCLUDED.cluster_id ELSE o.cluster_id END"
	" RETURNING epoch, next_offset, coalesce(last_offset, -1), last_timestamp_ms, last_crc, cluster_id";

static int take_over_one(struct commit_pg *commit, struct stage_position *position, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct owned *owned = make_owned(commit, position->topic, position->partition);
	char partition[PG_INT_MAX];

	if (pg_query_past_blockers(commit->pg, commit->cfg, "penstock.", PATIENCE_MS, take_over_sql,
				   PG_PARAMS(commit->group, position->topic,
					     pg_int_text(position->partition, partition), commit->owner,
					     commit->cluster_id),
				   &r, err))
		return err_wrap(err, "taking over %s [%d]", position->topic, position->partition);
	if (strcmp(pg_text(r, 0, 5), commit->cluster_id) != 0)
		return err_set(
			err, ERR_FATAL,
			"the offsets of %s [%d] belong to Kafka cluster %s, the broker is of cluster %s: look at "
			"kafka.bootstrap.servers and database.dsn",
			position->topic, position->partition, pg_text(r, 0, 5), commit->cluster_id);
	owned->epoch = pg_int(r, 0, 0);
	owned->next = pg_int(r, 0, 1);
	owned->last_offset = pg_int(r, 0, 2);
	owned->last_timestamp_ms = pg_int(r, 0, 3);
	owned->last_crc = pg_int(r, 0, 4);
	position->next = owned->next;
	position->probe = owned->last_offset;
	return 0;
}

static int learn_cluster(struct commit_pg *commit, struct kafka_consumer *consumer, struct err *err)
{
	if (!commit->cluster_id)
		commit->cluster_id = kafka_cluster_id(consumer);
	return commit->cluster_id ? 0 : err_set(err, ERR_RETRY, "kafka: no broker told the cluster's id");
}

static int take_over_all(struct commit_pg *commit, struct kafka_consumer *consumer, struct stage_position *positions,
			 unsigned count, struct err *err)
{
	if (learn_cluster(commit, consumer, err) || connect_again(commit, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		if (take_over_one(commit, &positions[i], err))
			return -1;
	return 0;
}

/* The database may be away: nothing can go on without it, so this waits, and says so once. */
static int take_over(struct commit_pg *commit, struct kafka_consumer *consumer, struct stage_position *positions,
		     unsigned count, struct err *err)
{
	int64_t backoff_ms = BACKOFF_FIRST_MS;
	bool said = false;

	while (take_over_all(commit, consumer, positions, count, err)) {
		if (err->kind != ERR_RETRY || worker_stopping())
			return -1;
		if (!said)
			log_warning("database_unavailable", NULL, "%s; waiting", err->text);
		said = true;
		worker_set_missing(WORKER_DATABASE, err->text);
		backoff_ms = worker_backoff(backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
		err_clear(err);
	}
	if (said)
		log_info("database_back", NULL, "the database answers again");
	worker_set_missing(WORKER_DATABASE, NULL);
	return 0;
}

static int assigned(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
		    struct err *err)
{
	struct commit_pg *commit = self;

	commit->count = 0;
	commit->fenced = false;
	return take_over(commit, consumer, positions, count, err);
}

static int rewind_batch(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
			struct err *err)
{
	return take_over(self, consumer, positions, count, err);
}

/* --- the log is the one it was --------------------------------------------------------------------------------------- */

static int64_t crc_of(const struct kafka_message *m)
{
	uLong crc = crc32(0, (const Bytef *)m->key.data, m->key.len);

	return (int64_t)crc32(crc, (const Bytef *)m->value.data, m->value.len);
}

static int store_stopped(struct commit_pg *commit, const struct owned *owned, const char *why, struct err *err)
{
	char partition[PG_INT_MAX], epoch[PG_INT_MAX];

	return pg_query(commit->pg,
			"UPDATE etl.offsets SET stopped = $5, updated_at = now() WHERE consumer_group = $1"
			" AND topic = $2 AND partition = $3 AND epoch = $4",
			PG_PARAMS(commit->group, owned->topic, pg_int_text(owned->partition, partition),
				  pg_int_text(owned->epoch, epoch), why),
			NULL, err);
}

static int check(void *self, const struct kafka_message *m, struct err *err)
{
	struct commit_pg *commit = self;
	const struct owned *owned = find_owned(commit, m->topic, m->partition);
	struct err why = ERR_INIT;

	if (m->offset == owned->last_offset && m->timestamp_ms == owned->last_timestamp_ms &&
	    crc_of(m) == owned->last_crc)
		return 0;
	err_set(&why, ERR_RECORD,
		"%s [%d] is another log than the one that was read: offset %" PRId64
		" holds something else than was loaded from there",
		m->topic, m->partition, owned->last_offset);
	if (store_stopped(commit, owned, why.text, err))
		return -1;
	*err = why;
	return -1;
}

static int stored(void *self, struct kafka_consumer *consumer, const struct stage_position *position, int64_t *ret_next,
		  bool *ret_moved, struct err *err)
{
	struct commit_pg *commit = self;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	const struct owned *owned = find_owned(commit, position->topic, position->partition);
	char partition[PG_INT_MAX];

	(void)consumer;
	if (connect_again(commit, err) ||
	    pg_query(commit->pg,
		     "SELECT next_offset, epoch FROM etl.offsets WHERE consumer_group = $1 AND topic = $2"
		     " AND partition = $3",
		     PG_PARAMS(commit->group, position->topic, pg_int_text(position->partition, partition)), &r, err))
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
	const struct owned *owned = find_owned(commit, position->topic, position->partition);
	char partition[PG_INT_MAX], epoch[PG_INT_MAX];

	commit->fenced = false;
	if (!pg_usable(commit->pg))
		return err_set(err, ERR_RETRY, "database: connection lost");
	return pg_query(commit->pg, sql,
			PG_PARAMS(commit->group, position->topic, pg_int_text(position->partition, partition),
				  pg_int_text(owned->epoch, epoch)),
			ret, err);
}

#define WHERE_OWNED " WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND epoch = $4"

static int started(void *self, struct kafka_consumer *consumer, const struct stage_position *position,
		   unsigned *ret_starts, struct err *err)
{
	struct commit_pg *commit = self;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	(void)consumer;
	if (add_starts(commit, position, "UPDATE etl.offsets SET starts = starts + 1" WHERE_OWNED " RETURNING starts",
		       &r, err))
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
	return add_starts(self, position, "UPDATE etl.offsets SET starts = greatest(starts - 1, 0)" WHERE_OWNED, NULL,
			  err);
}

/* --- commit ---------------------------------------------------------------------------------------------------------- */

/* The batch's partitions, for jsonb_to_recordset(). */
static int describe(struct commit_pg *commit, const struct stage_position *positions, unsigned count, struct buf *text,
		    struct err *err)
{
	buf_put_u8(text, '[');
	for (unsigned i = 0; i < count; i++) {
		const struct stage_position *p = &positions[i];
		const struct owned *owned = find_owned(commit, p->topic, p->partition);

		if (!owned)
			return err_set(err, ERR_FATAL, "%s [%d] was not taken over", p->topic, p->partition);
		buf_printf(text,
			   "%s{\"topic\":\"%s\",\"partition\":%d,\"epoch\":%" PRId64 ",\"start\":%" PRId64
			   ",\"next\":%" PRId64 ",\"starts\":%u,\"last\":%" PRId64 ",\"ts\":%" PRId64
			   ",\"crc\":%" PRId64 "}",
			   i ? "," : "", owned->topic, owned->partition, owned->epoch, owned->next, p->next, p->starts,
			   p->last->offset, p->last->timestamp_ms, crc_of(p->last));
	}
	buf_put_u8(text, ']');
	return text->overflow ? err_set(err, ERR_FATAL, "too many partitions in one batch") : 0;
}

#define BATCH \
	" jsonb_to_recordset($2::jsonb) AS b (topic text, partition integer, epoch bigint, start bigint," \
	" next bigint, starts integer, last bigint, ts bigint, crc bigint)"
#define SAME_PARTITION " o.consumer_group = $1 AND o.topic = b.topic AND o.partition = b.partition"
#define UNMOVED " AND o.epoch = b.epoch AND o.next_offset = b.start"

static int check_unmoved(struct commit_pg *commit, int64_t found, unsigned count, struct err *err)
{
	commit->fenced = found != count;
	if (commit->fenced)
		return err_set(err, ERR_RETRY, "another worker took over %" PRId64 " of %u partitions", count - found,
			       count);
	return 0;
}

/* Before the work: a stale owner learns here that it is one, and everybody locks in the same order. */
static int lock_offsets(struct commit_pg *commit, const char *batch, unsigned count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (fault_defect("no_compare_and_swap"))
		return 0;
	if (pg_query(commit->pg,
		     "SELECT 1 FROM etl.offsets o JOIN" BATCH " ON" SAME_PARTITION UNMOVED
		     " ORDER BY o.topic, o.partition FOR UPDATE OF o",
		     PG_PARAMS(commit->group, batch), &r, err))
		return -1;
	return check_unmoved(commit, pg_rows(r), count, err);
}

#define SWAP \
	"UPDATE etl.offsets o SET next_offset = b.next, starts = b.starts, last_offset = b.last," \
	" last_timestamp_ms = b.ts, last_crc = b.crc, updated_at = now() FROM" BATCH " WHERE" SAME_PARTITION

static int swap_offsets(struct commit_pg *commit, const char *batch, unsigned count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	const char *sql = fault_defect("no_compare_and_swap") ? SWAP : SWAP UNMOVED;

	if (pg_query(commit->pg, sql, PG_PARAMS(commit->group, batch), &r, err))
		return -1;
	return check_unmoved(commit, pg_affected(r), count, err);
}

#ifdef PENSTOCK_WITH_FAULTS
static int split_transaction(struct commit_pg *commit, struct err *err)
{
	if (pg_commit(commit->pg, err))
		return -1;
	fault_point("between");
	return pg_begin(commit->pg, err);
}

/* The two mistakes that this file exists to avoid. */
static int transact_wrongly(struct commit_pg *commit, const char *batch, unsigned count, struct err *err)
{
	const struct commit_pg_effects *effects = &commit->effects;
	bool offset_first = fault_defect("offset_before_rows");

	if (pg_begin(commit->pg, err) || lock_offsets(commit, batch, count, err) ||
	    (offset_first && (swap_offsets(commit, batch, count, err) || split_transaction(commit, err))) ||
	    effects->write(effects->self, commit->pg, err) ||
	    (!offset_first && (split_transaction(commit, err) || swap_offsets(commit, batch, count, err))))
		return -1;
	return pg_commit(commit->pg, err);
}
#endif

static int transact(struct commit_pg *commit, const char *batch, unsigned count, struct err *err)
{
	const struct commit_pg_effects *effects = &commit->effects;

#ifdef PENSTOCK_WITH_FAULTS
	if (fault_defect("offset_before_rows") || fault_defect("rows_without_offset"))
		return transact_wrongly(commit, batch, count, err);
#endif
	fault_point("before_begin");
	if (pg_begin(commit->pg, err) || lock_offsets(commit, batch, count, err) ||
	    effects->write(effects->self, commit->pg, err))
		return -1;
	fault_point("effects_written");
	if (swap_offsets(commit, batch, count, err))
		return -1;
	fault_point("before_commit");
	if (pg_commit(commit->pg, err))
		return -1;
	fault_point("after_commit");
	return 0;
}

static int commit_batch(void *self, const struct stage_position *positions, unsigned count, struct err *err)
{
	struct commit_pg *commit = self;
	CLEANUP(buf_release) struct buf batch = BUF_INIT(BATCH_TEXT_MAX);

	commit->fenced = false;
	if (!pg_usable(commit->pg))
		return err_set(err, ERR_RETRY, "database: connection lost");
	if (describe(commit, positions, count, &batch, err) ||
	    commit->effects.prepare(commit->effects.self, commit->pg, err) ||
	    transact(commit, buf_text(&batch), count, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		find_owned(commit, positions[i].topic, positions[i].partition)->next = positions[i].next;
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

static bool was_away(void *self)
{
	const struct commit_pg *commit = self;

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
		.abort = abort_batch,
		.assigned = assigned,
		.rewind = rewind_batch,
		.check = check,
		.stored = stored,
		.started = started,
		.unstarted = unstarted,
		.was_away = was_away,
		.fenced = fenced,
	};
}
