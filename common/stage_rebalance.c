#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/stage_internal.h"
#include "common/worker.h"

/* The stage's own text of the name, which outlives the message. */
static const char *stable_name(const struct stage *stage, const char *topic)
{
	for (unsigned i = 0; i < stage->topic_count; i++)
		if (strcmp(stage->topics[i], topic) == 0)
			return stage->topics[i];
	return NULL;
}

static int add_places(struct stage_loop *loop, const struct kafka_offset *partitions, unsigned count, struct err *err)
{
	places_clear(&loop->places);
	for (unsigned i = 0; i < count; i++) {
		const char *topic = stable_name(loop->stage, partitions[i].topic);
		struct place *place = topic ? places_add(&loop->places, topic, partitions[i].partition) : NULL;

		if (!place)
			return err_set(err, ERR_FATAL, "%s [%d] cannot be assigned: too many, or not asked for",
				       partitions[i].topic, partitions[i].partition);
		loop->places.positions[i] = place_position(place);
		loop->places.positions[i].next = KAFKA_OFFSET_NONE;
	}
	return 0;
}

static int on_assigned(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	struct stage_loop *loop = self;
	const struct commit_ops *commit = &loop->stage->commit;

	if (worker_verify_topics(partitions, count, err) || add_places(loop, partitions, count, err) ||
	    (commit->assigned && commit->assigned(commit->self, loop->consumer, loop->places.positions, count, err)))
		return -1;
	for (unsigned i = 0; i < count; i++) {
		const struct stage_position *p = &loop->places.positions[i];

		place_at(&loop->places.list[i], p);
		partitions[i].offset = loop->places.list[i].next;
	}
	log_info("partitions_assigned", LOG_FIELDS(log_i64("partitions", count)), "%u partitions assigned", count);
	worker_set_ready(true, "");
	metric_set(&worker_metrics[WORKER_PARTITIONS], count);
	return 0;
}

/* What is on its way cannot be called back: it arrives, or meets the other worker's epoch. */
static int end_batches(struct stage_loop *loop, bool lost, struct err *err)
{
	if (!lost)
		return stage_batch_commit(loop, err);
	if (stage_batch_settle(loop, err))
		return -1;
	return loop->open.there ? err_set(err, ERR_RETRY, "the partitions are another worker's already") : 0;
}

static void on_revoked(void *self, bool lost)
{
	struct stage_loop *loop = self;
	struct err err = ERR_INIT;

	log_info("partitions_revoked", LOG_FIELDS(log_i64("lost", lost)), "partitions %s", lost ? "lost" : "revoked");
	worker_set_ready(false, "waiting for partitions");
	metric_set(&worker_metrics[WORKER_PARTITIONS], 0);
	if (end_batches(loop, lost, &err)) {
		log_warning("batch_dropped", LOG_FIELDS(log_i64("records", loop->open.records)), "%s", err.text);
		err_clear(&err);
		if (stage_batch_drop(loop, &err))
			loop->broken = err;
	}
	if (!lost && loop->broken.kind == ERR_OK)
		stage_careful_take_back(loop);
	places_clear(&loop->places); /* no going back: whoever has the partitions now starts at what is committed */
}

/* A mistake for the tests: a batch is kept when its partitions are lost, and committed as the member it is by then. */
static void keep_batch(void *self, bool lost)
{
	struct stage_loop *loop = self;

	if (lost)
		loop->deadline_ns = INT64_MAX;
	else
		on_revoked(loop, lost);
}

static int commit_kept(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	return stage_batch_commit(self, err) ? -1 : on_assigned(self, partitions, count, err);
}

struct kafka_rebalance stage_rebalance(struct stage_loop *loop)
{
	if (fault_defect("group_metadata_at_commit"))
		return (struct kafka_rebalance){ loop, commit_kept, keep_batch };
	return (struct kafka_rebalance){ loop, on_assigned, on_revoked };
}
