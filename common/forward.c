#include "common/forward.h"

#include "common/cleanup.h"
#include "common/commit_kafka.h"
#include "common/mem.h"

static int run_stage(const struct forward *forward, struct worker *worker, struct commit_kafka *commit, struct err *err)
{
	CLEANUP(freep) char *group_base = mem_printf("penstock.%s", forward->stage);
	struct data_topics topics;
	struct stage stage = {
		.name = forward->stage,
		.group = topics_group(worker->topics, group_base),
		.topics = topics.names,
		.topic_count = DATA_TYPES,
		.batch_ms = config_int(worker->cfg, "batch.ms"),
		.batch_records_max = config_int(worker->cfg, "batch.records_max"),
		.commit = commit_kafka_ops(commit),
	};
	void *self = NULL;
	int r;

	data_topics_open(&topics, worker->topics, forward->reads);
	if (forward->open(&self, worker, commit_kafka_producer(commit), &stage.ops, err))
		return -1;
	r = stage_run(&stage, worker, err);
	forward->close(self);
	return r;
}

int forward_run(const struct forward *forward, struct worker *worker, struct err *err)
{
	CLEANUP(commit_kafka_freep) struct commit_kafka *commit = NULL;
	CLEANUP(freep) char *transactional_id = worker_transactional_id(worker, forward->stage, err);

	worker_set_ready(false, "waiting for the broker");
	if (!transactional_id || commit_kafka_open(&commit, worker->cfg, transactional_id, err))
		return -1;
	return run_stage(forward, worker, commit, err);
}
