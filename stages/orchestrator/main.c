/* orchestrator: runs, tasks, attempts and their accounts; etl.events and the HTTP API -> etl.tasks.* */
#include <sys/eventfd.h>

#include "common/config.h"
#include "common/log.h"
#include "common/worker.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"

static bool usage_error;

static int run(struct worker *worker, struct err *err)
{
	if (api_open(worker->cfg, err)) {
		usage_error = true;
		return -1;
	}
	orchestrator_shared.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (orchestrator_shared.wake < 0)
		return err_set(err, ERR_FATAL, "no eventfd to wake the core with");
	return orchestrator_run(worker, err);
}

int main(int argc, char **argv)
{
	static const struct config_key *const shared[] = { config_common_keys, config_database_keys, NULL };
	const struct worker_spec spec = {
		.config = { .binary = "orchestrator",
			    .summary = "plans runs, sends tasks to fetchers, keeps the account",
			    .keys = orchestrator_keys,
			    .shared = shared },
		.work = "orchestration",
		.metrics = orchestrator_metrics,
		.metric_count = GAUGES,
		.families = orchestrator_families,
		.handler = api_handle,
		.http_threads = API_THREADS,
		.run = run,
	};
	int code = worker_main(&spec, argc, argv);

	api_close();
	return usage_error ? EXIT_USAGE : code;
}
