#include "common/clock.h"
#include "common/fault.h"
#include "stages/fetcher/fetcher_internal.h"
#include "stages/fetcher/metrics.h"

int fetcher_begin(struct fetcher *fetcher, struct err *err)
{
	if (fetcher->open)
		return 0;
	kafka_group_freep(&fetcher->group);
	fetcher->group = kafka_group_now(fetcher->consumer);
	if (!fetcher->group)
		return err_set(err, ERR_RETRY, "the slots are another fetcher's already");
	if (kafka_txn_begin(fetcher->outputs.producer, err))
		return -1;
	fetcher->open = true;
	fetcher->records_before = metric_get(&fetcher_metrics[FETCHER_RECORDS]);
	fetcher->began_ns = clock_monotonic_ns();
	fetcher->deadline_ns = fetcher->began_ns + fetcher->batch_ns;
	return 0;
}

/* What the transaction says of the slots: attempts' events now, offsets in the array. */
static int say(struct fetcher *fetcher, bool leaving, struct kafka_offset offsets[SLOTS_MAX], unsigned *ret_count,
	       struct err *err)
{
	*ret_count = 0;
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++) {
		if (!slot_say(slot, leaving))
			continue;
		if (fetcher_begin(fetcher, err) || (slot_moved(slot) && job_report(slot->job, err)))
			return -1;
		offsets[(*ret_count)++] = slot_offset(slot);
	}
	return 0;
}

static void count_batch(const struct fetcher *fetcher, int64_t commit_ns)
{
	int64_t now_ns = clock_monotonic_ns();

	metric_add(&worker_metrics[WORKER_BATCHES], 1);
	histogram_observe(&worker_histograms[WORKER_COMMIT_NS], now_ns - commit_ns);
	histogram_observe(&worker_histograms[WORKER_BATCH_NS], now_ns - fetcher->began_ns);
	histogram_observe(&worker_histograms[WORKER_BATCH_RECORDS],
			  metric_get(&fetcher_metrics[FETCHER_RECORDS]) - fetcher->records_before);
}

static int commit_as(struct fetcher *fetcher, bool leaving, struct err *err)
{
	struct kafka_offset offsets[SLOTS_MAX];
	int64_t commit_ns;
	unsigned count;

	if (say(fetcher, leaving, offsets, &count, err))
		return -1;
	if (!fetcher->open)
		return 0;
	commit_ns = clock_monotonic_ns();
	fault_point("before_commit");
	if (kafka_txn_offsets(fetcher->outputs.producer, offsets, count, fetcher->group, err))
		return -1;
	fault_point("offsets_sent");
	if (kafka_txn_commit(fetcher->outputs.producer, err))
		return -1;
	fetcher->open = false;
	fault_point("after_commit");
	count_batch(fetcher, commit_ns);
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++) {
		if (slot_ends(slot)) {
			flow_end(&fetcher->parking.flow, job_cursor(slot->job));
			metric_add(&worker_metrics[WORKER_RECORDS], 1);
		}
		slot_committed(slot);
	}
	return 0;
}

int fetcher_commit(struct fetcher *fetcher, struct err *err)
{
	return commit_as(fetcher, false, err);
}

int fetcher_commit_leaving(struct fetcher *fetcher, struct err *err)
{
	return commit_as(fetcher, true, err);
}
