/* loader: etl.clean.<type>, etl.dlq -> PostgreSQL */
#include <string.h>

#include "common/cleanup.h"
#include "common/data_types.h"
#include "common/mem.h"
#include "common/pg.h"
#include "stages/loader/loader.h"

static const struct config_key keys[] = {
	{ "batch.records_max", CONFIG_INT, "40000", 1, 1000000, "records",
	  "A batch (one transaction) is committed at this size." },
	{ "batch.ms", CONFIG_INT, "200", 1, 60000, "ms",
	  "A batch is committed this long after its first record, or when none has come for a tenth of it." },
	{ "unpack_rows_max", CONFIG_INT, "1000000", 0, 2000000000, "rows",
	  "Compressed rows that a statement may touch (TimescaleDB); where it is more, their chunks are decompressed first. 0: any number." },
	{ 0 },
};
static const struct config_key *const shared[] = { config_common_keys, config_database_keys, NULL };

static int check_tables(const struct config *cfg, const char *owner, struct err *err)
{
	CLEANUP(pg_freep) struct pg *pg = NULL;

	return pg_open(&pg, cfg, owner, err) || pg_check_migrations(pg, err) ? -1 : 0;
}

static int run(struct worker *worker, struct err *err)
{
	CLEANUP(loader_freep) struct loader *loader = NULL;
	CLEANUP(commit_pg_freep) struct commit_pg *commit = NULL;
	struct data_topics clean;
	const char *topics[DATA_TYPES + 1];
	const char *group = topics_group(worker->topics, "penstock.loader");
	CLEANUP(freep) char *owner = mem_printf("penstock.loader.%s", worker_instance(worker->cfg));

	data_topics_open(&clean, worker->topics, DATA_CLEAN);
	memcpy(topics, clean.names, sizeof(clean.names));
	topics[DATA_TYPES] = topics_name(worker->topics, "etl.dlq");
	if (check_tables(worker->cfg, owner, err) || loader_open(&loader, worker, err))
		return -1;
	const struct commit_pg_effects effects = loader_effects(loader);

	if (commit_pg_open(&commit, worker->cfg, group, owner, &effects, err))
		return -1;
	const struct stage stage = {
		.name = "loader",
		.group = group,
		.topics = topics,
		.topic_count = DATA_TYPES + 1,
		.batch_ms = config_int(worker->cfg, "batch.ms"),
		.batch_records_max = config_int(worker->cfg, "batch.records_max"),
		.ops = loader_stage_ops(loader),
		.commit = commit_pg_ops(commit),
	};

	if (stage_run(&stage, worker, err))
		return -1;
	return loader_close(loader, err);
}

static struct metric_family *const families[] = { &pg_transactions, NULL };

int main(int argc, char **argv)
{
	const struct worker_spec spec = {
		.config = { .binary = "loader",
			    .summary = "Loads clean records into PostgreSQL and archives dead letters.",
			    .keys = keys,
			    .shared = shared },
		.work = "loading",
		.metrics = loader_metrics,
		.metric_count = loader_metric_count,
		.families = families,
		.run = run,
	};

	return worker_main(&spec, argc, argv);
}
