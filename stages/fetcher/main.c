/* fetcher: etl.tasks.<source> -> etl.raw.<type> (what is put back: etl.valid.<type>, etl.clean.<type>) | etl.events | etl.dlq */
#include "stages/fetcher/fetcher.h"
#include "stages/fetcher/metrics.h"
#include "stages/fetcher/sources/databento/account.h"

static const struct config_key *const shared[] = { config_common_keys, NULL };

static int check(const struct config *cfg, struct err *err)
{
	struct databento_account account;

	return databento_account_read(&account, cfg, err);
}

int main(int argc, char **argv)
{
	const struct worker_spec spec = {
		.config = { .binary = "fetcher",
			    .summary = "Reads vendors' data, task by task, into the raw topics.",
			    .keys = fetcher_keys,
			    .shared = shared },
		.work = "fetching",
		.metrics = fetcher_metrics,
		.metric_count = FETCHER_METRICS,
		.families = fetcher_families,
		.check = check,
		.run = fetcher_run,
	};

	return worker_main(&spec, argc, argv);
}
