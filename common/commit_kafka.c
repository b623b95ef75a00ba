#include "common/commit_kafka.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/fault.h"
#include "common/mem.h"
#include "common/places.h"

#define STARTS_TEXT_MAX 24

struct commit_kafka {
	struct kafka_producer *producer;
	struct kafka_group *group; /* of the open transaction */
	struct kafka_consumer *consumer;
	bool open;
	struct kafka_offset offsets[PLACES_MAX]; /* for one call */
	char texts[PLACES_MAX][STARTS_TEXT_MAX];
};

int commit_kafka_open(struct commit_kafka **ret, const struct config *cfg, const char *transactional_id,
		      struct err *err)
{
	CLEANUP(commit_kafka_freep) struct commit_kafka *commit = mem_zalloc(1, sizeof(*commit));

	if (kafka_producer_new(&commit->producer, cfg, transactional_id, err))
		return -1;
	*ret = STEAL(commit);
	return 0;
}

void commit_kafka_freep(struct commit_kafka **commit)
{
	if (!*commit)
		return;
	kafka_group_freep(&(*commit)->group);
	kafka_producer_freep(&(*commit)->producer);
	free(*commit);
	*commit = NULL;
}

struct kafka_producer *commit_kafka_producer(struct commit_kafka *commit)
{
	return commit->producer;
}

/* --- the transaction ------------------------------------------------------------------------------------------------- */

static int begin(void *self, struct kafka_consumer *consumer, struct err *err)
{
	struct commit_kafka *commit = self;

	kafka_group_freep(&commit->group);
	commit->group = kafka_group_now(consumer);
	commit->consumer = consumer;
	if (!commit->group)
		return err_set(err, ERR_RETRY, "the partitions are another worker's already");
	if (kafka_txn_begin(commit->producer, err))
		return -1;
	commit->open = true;
	return 0;
}

static int end(struct commit_kafka *commit, const struct kafka_offset *offsets, unsigned count, struct err *err)
{
	if (fault_defect("group_metadata_at_commit")) {
		kafka_group_freep(&commit->group);
		commit->group = kafka_group_now(commit->consumer);
	}
	if (kafka_txn_offsets(commit->producer, offsets, count, commit->group, err) ||
	    kafka_txn_commit(commit->producer, err))
		return -1;
	commit->open = false;
	return 0;
}

static const char *starts_text(unsigned starts, char text[STARTS_TEXT_MAX])
{
	text[0] = '\0';
	if (starts > 0)
		snprintf(text, STARTS_TEXT_MAX, "starts=%u", starts);
	return text;
}

static unsigned starts_of(const char *metadata)
{
	unsigned starts;

	return metadata && sscanf(metadata, "starts=%u", &starts) == 1 ? starts : 0;
}

static int commit_batch(void *self, const struct stage_position *positions, unsigned count, struct err *err)
{
	struct commit_kafka *commit = self;

	for (unsigned i = 0; i < count; i++)
		commit->offsets[i] =
			(struct kafka_offset){ positions[i].topic, positions[i].partition, positions[i].next,
					       starts_text(positions[i].starts, commit->texts[i]) };
	fault_point("before_commit");
	if (end(commit, commit->offsets, count, err))
		return -1;
	fault_point("after_commit");
	return 0;
}

static int abort_batch(void *self, struct err *err)
{
	struct commit_kafka *commit = self;
	bool open = commit->open;

	commit->open = false;
	return open ? kafka_txn_abort(commit->producer, err) : 0;
}

/* --- positions ------------------------------------------------------------------------------------------------------- */

static int committed(struct kafka_consumer *consumer, const struct stage_position *position, int64_t *ret_offset,
		     unsigned *ret_starts, struct err *err)
{
	CLEANUP(freep) char *metadata = NULL;

	if (kafka_consumer_committed(consumer, position->topic, position->partition, ret_offset, &metadata, err))
		return -1;
	*ret_starts = starts_of(metadata);
	if (*ret_offset == KAFKA_OFFSET_NONE)
		return err_set(err, ERR_RETRY, "no offset is committed for %s [%d]; run `penstock topics apply`",
			       position->topic, position->partition);
	return 0;
}

static int rewind_batch(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
			struct err *err)
{
	unsigned starts;

	(void)self;
	for (unsigned i = 0; i < count; i++)
		if (committed(consumer, &positions[i], &positions[i].next, &starts, err))
			return -1;
	return 0;
}

static int stored(void *self, struct kafka_consumer *consumer, const struct stage_position *position, int64_t *ret_next,
		  bool *ret_moved, struct err *err)
{
	unsigned starts;

	(void)self;
	*ret_moved = false;
	return committed(consumer, position, ret_next, &starts, err);
}

/* The same offset with another count: a transaction of its own. */
static int store_starts(struct commit_kafka *commit, struct kafka_consumer *consumer,
			const struct stage_position *position, int64_t offset, unsigned starts, struct err *err)
{
	char text[STARTS_TEXT_MAX];
	const struct kafka_offset unmoved = { position->topic, position->partition, offset, starts_text(starts, text) };

	if (begin(commit, consumer, err))
		return -1;
	return end(commit, &unmoved, 1, err);
}

static int started(void *self, struct kafka_consumer *consumer, const struct stage_position *position,
		   unsigned *ret_starts, struct err *err)
{
	int64_t offset;
	unsigned before;

	if (committed(consumer, position, &offset, &before, err) ||
	    store_starts(self, consumer, position, offset, before + 1, err))
		return -1;
	*ret_starts = before + 1;
	return 0;
}

static int unstarted(void *self, struct kafka_consumer *consumer, const struct stage_position *position,
		     struct err *err)
{
	int64_t offset;
	unsigned before;

	if (committed(consumer, position, &offset, &before, err))
		return -1;
	return before == 0 ? 0 : store_starts(self, consumer, position, offset, before - 1, err);
}

struct commit_ops commit_kafka_ops(struct commit_kafka *commit)
{
	return (struct commit_ops){
		.self = commit,
		.begin = begin,
		.commit = commit_batch,
		.abort = abort_batch,
		.rewind = rewind_batch,
		.stored = stored,
		.started = started,
		.unstarted = unstarted,
	};
}
