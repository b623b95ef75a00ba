#include <string.h>

#include "common/cleanup.h"
#include "common/commit_pg_internal.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/worker.h"

#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 5000
#define PATIENCE_MS 3000 /* for sessions that hold what a takeover needs */

static struct owned *make_owned(struct commit_pg *commit, const char *topic, int32_t partition)
{
	struct owned *owned = commit_pg_owned(commit, topic, partition);

	if (owned)
		return owned;
	if (commit->count == commit->cap) {
		commit->cap = commit->cap ? commit->cap * 2 : 16;
		commit->owned = mem_realloc(commit->owned, commit->cap, sizeof(*commit->owned));
	}
	owned = &commit->owned[commit->count++];
	*owned = (struct owned){ .topic = topic, .partition = partition, .leaving = KAFKA_OFFSET_NONE };
	return owned;
}

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

	if (pg_query_past_blockers(commit->pg, commit->cfg, "penstock.", PATIENCE_MS, take_over_sql,
				   PG_PARAMS(commit->group, position->topic, INT_TEXT(position->partition),
					     commit->owner, commit->cluster_id),
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
	if (learn_cluster(commit, consumer, err) || commit_pg_connect(commit, err))
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

int commit_pg_assigned(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
		       struct err *err)
{
	struct commit_pg *commit = self;

	errand_wait(commit->writing);
	commit->count = 0;
	commit->fenced = false;
	return take_over(commit, consumer, positions, count, err);
}

int commit_pg_rewind(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
		     struct err *err)
{
	struct commit_pg *commit = self;

	errand_wait(commit->writing);
	return take_over(commit, consumer, positions, count, err);
}
