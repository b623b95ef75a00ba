#include <inttypes.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/stage_internal.h"
#include "common/worker.h"

static void end_batch(struct stage_loop *loop, bool committed)
{
	loop->open = false;
	loop->records = loop->bytes = 0;
	places_end_batch(&loop->places, committed);
}

int stage_batch_begin(struct stage_loop *loop, struct err *err)
{
	if (loop->open)
		return 0;
	if (loop->stage->commit.begin(loop->stage->commit.self, loop->consumer, err))
		return -1;
	loop->open = true;
	fault_point("begun");
	loop->began_ns = clock_monotonic_ns();
	loop->deadline_ns = loop->began_ns + loop->stage->batch_ms * NS_PER_MS;
	return 0;
}

int stage_batch_commit(struct stage_loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	int64_t records = loop->records, bytes = loop->bytes, commit_ns = clock_monotonic_ns(), now_ns;
	unsigned count;

	if (!loop->open)
		return 0;
	count = places_batched(&loop->places);
	stage_careful_starts(loop, loop->places.positions, count);
	if (commit->commit(commit->self, loop->places.positions, count, err))
		return -1;
	now_ns = clock_monotonic_ns();
	histogram_observe(&worker_histograms[WORKER_COMMIT_NS], now_ns - commit_ns);
	histogram_observe(&worker_histograms[WORKER_BATCH_NS], now_ns - loop->began_ns);
	end_batch(loop, true);
	stage_careful_grow(loop);
	loop->backoff_ms = BACKOFF_FIRST_MS;
	loop->dropped = loop->fenced = 0;
	metric_add(&worker_metrics[WORKER_BATCHES], 1);
	metric_add(&worker_metrics[WORKER_RECORDS], records);
	metric_add(&worker_metrics[WORKER_BYTES], bytes);
	histogram_observe(&worker_histograms[WORKER_BATCH_RECORDS], records);
	log_debug("batch_committed", LOG_FIELDS(log_i64("records", records)), "committed %" PRId64 " records", records);
	return 0;
}

int stage_batch_drop(struct stage_loop *loop, struct err *err)
{
	if (loop->open)
		metric_add(&worker_metrics[WORKER_BATCHES_DROPPED], 1);
	end_batch(loop, false);
	if (loop->stage->ops.dropped)
		loop->stage->ops.dropped(loop->stage->ops.self);
	return loop->stage->commit.abort(loop->stage->commit.self, err);
}
