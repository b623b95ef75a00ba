#include "common/commit_kafka.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/fault.h"
#include "common/mem.h"

struct commit_kafka {
	struct kafka_producer *producer;
	struct kafka_group *group; /* of the open transaction */
	bool open;
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

static int begin(void *self, struct kafka_consumer *consumer, struct err *err)
{
	struct commit_kafka *commit = self;

	kafka_group_freep(&commit->group);
	commit->group = kafka_group_now(consumer);
	if (kafka_txn_begin(commit->producer, err))
		return -1;
	commit->open = true;
	return 0;
}

static int commit_batch(void *self, const struct kafka_offset *offsets, unsigned count, struct err *err)
{
	struct commit_kafka *commit = self;

	fault_point("before_commit");
	if (kafka_txn_offsets(commit->producer, offsets, count, commit->group, err) ||
	    kafka_txn_commit(commit->producer, err))
		return -1;
	commit->open = false;
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

static int rewind_batch(void *self, struct kafka_consumer *consumer, struct kafka_offset *partitions, unsigned count,
			struct err *err)
{
	(void)self;
	for (unsigned i = 0; i < count; i++) {
		CLEANUP(freep) char *metadata = NULL;

		if (kafka_consumer_committed(consumer, partitions[i].topic, partitions[i].partition,
					     &partitions[i].offset, &metadata, err))
			return -1;
		if (partitions[i].offset == KAFKA_OFFSET_NONE)
			return err_set(err, ERR_FATAL,
				       "no offset is committed for %s [%d]; run `penstock topics apply`",
				       partitions[i].topic, partitions[i].partition);
	}
	return 0;
}

struct commit_ops commit_kafka_ops(struct commit_kafka *commit)
{
	return (struct commit_ops){
		.self = commit,
		.begin = begin,
		.commit = commit_batch,
		.abort = abort_batch,
		.rewind = rewind_batch,
	};
}
