#include "common/log.h"
#include "stages/fetcher/fetcher_internal.h"

void fetcher_clear(struct fetcher *fetcher)
{
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		slot_clear(slot);
	fetcher->sole = NULL;
}

/* Transfers go on in the slots that came back; whoever has the others goes on at their cursors. */
static int on_assigned(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	struct fetcher *fetcher = self;

	if (worker_verify_topics(partitions, count, err))
		return -1;
	for (unsigned i = 0; i < count; i++) {
		struct slot *slot = fetcher_add_slot(fetcher, partitions[i].topic, partitions[i].partition);

		if (!slot)
			return err_set(err, ERR_FATAL, "%s [%d]: more than %d slots", partitions[i].topic,
				       partitions[i].partition, SLOTS_MAX);
		slot->assigned = true;
	}
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->job && !slot->assigned) {
			fetcher_log_slot(slot, "task_handed_over", "the slot did not come back");
			slot_clear(slot);
		}
	log_info("slots_assigned", LOG_FIELDS(log_i64("slots", count)), "%u slots assigned", count);
	worker_set_ready(true, "");
	metric_set(&worker_metrics[WORKER_PARTITIONS], count);
	return 0;
}

static void on_revoked(void *self, bool lost)
{
	struct fetcher *fetcher = self;
	struct err err = ERR_INIT;

	worker_set_ready(false, "waiting for slots");
	metric_set(&worker_metrics[WORKER_PARTITIONS], 0);
	if (lost && fetcher->open)
		err_set(&fetcher->broken, ERR_RETRY, "the slots are another fetcher's already");
	else if (!lost && fetcher_commit_leaving(fetcher, &err))
		fetcher->broken = err;
	if (lost || fetcher->broken.kind != ERR_OK)
		fetcher_clear(fetcher);
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		slot_park(slot);
	fetcher->sole = NULL;
}

struct kafka_rebalance fetcher_rebalance(struct fetcher *fetcher)
{
	return (struct kafka_rebalance){ fetcher, on_assigned, on_revoked };
}
