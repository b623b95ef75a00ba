#include <inttypes.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/stage_internal.h"
#include "common/worker.h"

static void hand_over(struct stage_loop *loop)
{
	loop->leaving = loop->open;
	loop->open = (struct stage_batch){ .there = false };
	places_hand_over(&loop->places);
}

static void count_arrived(struct stage_loop *loop)
{
	const struct stage_batch *batch = &loop->leaving;
	int64_t now_ns = clock_monotonic_ns();

	stage_careful_grow(loop);
	loop->backoff_ms = STAGE_BACKOFF_FIRST_MS;
	loop->dropped = loop->fenced = 0;
	stage_trouble_over(loop->trouble);
	histogram_observe(&worker_histograms[WORKER_COMMIT_NS], now_ns - batch->committing_ns);
	histogram_observe(&worker_histograms[WORKER_BATCH_NS], now_ns - batch->began_ns);
	histogram_observe(&worker_histograms[WORKER_BATCH_RECORDS], batch->records);
	metric_add(&worker_metrics[WORKER_BATCHES], 1);
	metric_add(&worker_metrics[WORKER_RECORDS], batch->records);
	metric_add(&worker_metrics[WORKER_BYTES], batch->bytes);
	log_debug("batch_committed", LOG_FIELDS(log_i64("records", batch->records)), "committed %" PRId64 " records",
		  batch->records);
}

static void arrive(struct stage_loop *loop, bool committed)
{
	places_settle(&loop->places, committed);
	if (committed)
		count_arrived(loop);
	else
		metric_add(&worker_metrics[WORKER_BATCHES_DROPPED], 1);
	loop->leaving = (struct stage_batch){ .there = false };
	stage_batch_tell(loop);
}

int stage_batch_begin(struct stage_loop *loop, struct err *err)
{
	if (loop->open.there)
		return 0;
	if (loop->stage->commit.begin(loop->stage->commit.self, loop->consumer, err))
		return -1;
	fault_point("begun");
	loop->open = (struct stage_batch){ .there = true, .began_ns = clock_monotonic_ns() };
	loop->deadline_ns = loop->open.began_ns + loop->stage->batch_ms * NS_PER_MS;
	return 0;
}

int stage_batch_settle(struct stage_loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	int r;

	if (!loop->leaving.there)
		return 0;
	r = commit->settle(commit->self, err);
	arrive(loop, r == 0);
	return r;
}

/* With the positions that the open batch ends at. */
static int give(struct stage_loop *loop,
		int (*to)(void *self, const struct stage_position *positions, unsigned count, struct err *err),
		struct err *err)
{
	unsigned count = places_batched(&loop->places);

	stage_careful_starts(loop, loop->places.positions, count);
	loop->open.committing_ns = clock_monotonic_ns();
	if (to(loop->stage->commit.self, loop->places.positions, count, err))
		return -1;
	hand_over(loop);
	return 0;
}

int stage_batch_commit(struct stage_loop *loop, struct err *err)
{
	if (stage_batch_settle(loop, err))
		return -1;
	if (!loop->open.there)
		return 0;
	if (give(loop, loop->stage->commit.commit, err))
		return -1;
	arrive(loop, true);
	return 0;
}

/* One message at a time is for finding out which one it is: nothing else is under way meanwhile. */
int stage_batch_hand_over(struct stage_loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;

	if (!commit->hand_over || stage_careful_now(loop))
		return stage_batch_commit(loop, err);
	return stage_batch_settle(loop, err) || give(loop, commit->hand_over, err) ? -1 : 0;
}

int stage_batch_drop(struct stage_loop *loop, struct err *err)
{
	struct err known = ERR_INIT; /* by being dropped */

	stage_batch_settle(loop, &known);
	if (loop->open.there)
		metric_add(&worker_metrics[WORKER_BATCHES_DROPPED], 1);
	loop->open = (struct stage_batch){ .there = false };
	stage_batch_tell(loop);
	places_drop_batch(&loop->places);
	if (loop->stage->ops.dropped)
		loop->stage->ops.dropped(loop->stage->ops.self);
	return loop->stage->commit.abort(loop->stage->commit.self, err);
}
