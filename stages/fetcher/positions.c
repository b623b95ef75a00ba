#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/fetcher/fetcher_internal.h"

#define LEARN_TRIES 6 /* of 10 s: longer than a broker keeps the transaction of a fetcher that is gone */
#define LEARN_BACKOFF_MS 100
#define LEARN_BACKOFF_MS_MAX 2000

/*
 * The group's offset and cursor, read_committed: what a former owner has not
 * ended yet is waited for, and no answer is never "no cursor".
 */
static int read_committed(struct fetcher *fetcher, const struct slot *slot, int64_t *ret_offset, char **ret_metadata,
			  struct err *err)
{
	int64_t wait_ms = 0;

	for (unsigned tries = 1;; tries++) {
		if (kafka_consumer_committed(fetcher->consumer, slot->topic, slot->partition, ret_offset, ret_metadata,
					     err) == 0)
			return 0;
		if (tries == LEARN_TRIES || worker_stopping())
			return -1;
		log_warning("cursor_not_read", LOG_FIELDS(log_i64("slot", slot->partition)), "%s", err->text);
		err_clear(err);
		wait_ms = worker_backoff(wait_ms, LEARN_BACKOFF_MS, LEARN_BACKOFF_MS_MAX);
	}
}

void fetcher_log_slot(const struct slot *slot, const char *event, const char *text)
{
	const struct cursor *cursor = &slot->committed.cursor;

	log_info(event,
		 LOG_FIELDS(log_str("topic", slot->topic), log_i64("slot", slot->partition),
			    log_i64("attempt", cursor->attempt), log_i64("record", cursor->fetched)),
		 "%s", text);
}

/* The slot stays unknown where the process is told to stop meanwhile. */
static int learn(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	CLEANUP(freep) char *metadata = NULL;
	bool parked = slot->job;
	int64_t offset;

	if (fetcher_commit(fetcher, err))
		return -1;
	if (read_committed(fetcher, slot, &offset, &metadata, err)) {
		if (!worker_stopping())
			return -1;
		err_clear(err);
		return 0;
	}
	if (parked && offset < job_message(slot->job)->offset)
		return err_set(err, ERR_RETRY, "slot %d of %s was put back", slot->partition, slot->topic);
	if (slot_learn(slot, offset, metadata))
		fetcher_log_slot(slot, "task_given_up", "the slot was another fetcher's meanwhile");
	else if (parked)
		fetcher_log_slot(slot, "task_kept", "the slot came back");
	return 0;
}

int fetcher_learn(struct fetcher *fetcher, struct err *err)
{
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->assigned && !slot->known && (slot->job || slot->pending_count > 0) &&
		    learn(fetcher, slot, err))
			return -1;
	return 0;
}

/* The group has what this process committed last. */
static bool is_as_left(struct fetcher *fetcher, const struct slot *slot)
{
	CLEANUP(freep) char *metadata = NULL;
	struct err err = ERR_INIT;
	int64_t offset;

	return kafka_consumer_committed(fetcher->consumer, slot->topic, slot->partition, &offset, &metadata, &err) ==
		       0 &&
	       slot_is_as_left(slot, offset, metadata);
}

void fetcher_take_back(struct fetcher *fetcher)
{
	struct err err = ERR_INIT;

	if (fetcher->open && kafka_txn_abort(fetcher->outputs.producer, &err))
		return;
	fetcher->open = false;
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->known && slot->committed.counted && !is_as_left(fetcher, slot))
			return;
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		slot_give_up(slot);
	if (fetcher_commit_leaving(fetcher, &err))
		log_warning("starts_not_taken_back", NULL, "%s", err.text);
}
