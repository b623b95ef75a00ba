/* orchestrator: runs, tasks, attempts and their accounts; etl.events and the HTTP API -> etl.tasks.* */
#include <sys/eventfd.h>

#include "common/config.h"
#include "common/log.h"
#include "common/worker.h"
#include "stages/orchestrator/api.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"

static const struct config_key keys[] = {
	{ "subscriptions", CONFIG_TEXT, "var/subscriptions.yaml", 0, 0, NULL, "File of the subscriptions." },
	{ "poll_ms", CONFIG_INT, "200", 10, 10000, "ms", "How often the database is asked for work." },
	{ "tasks_per_slot", CONFIG_INT, "2", 1, 100, "tasks", "Attempts outstanding in one slot at most." },
	{ "attempts_max", CONFIG_INT, "5", 1, 1000, "attempts", "A task that is abandoned this often fails." },
	{ "tasks_max", CONFIG_INT, "100000", 1, 1000000, "tasks", "Tasks of one run at most." },
	{ "stalled_after_s", CONFIG_INT, "60", 1, 86400, "s",
	  "An account that stands still this long raises an alarm; ten times this, and the run fails." },
	{ "lease_s", CONFIG_INT, "15", 3, 3600, "s",
	  "A standby takes over from an active one that was not heard of for so long." },
	{ "http.port", CONFIG_INT, "8000", 0, 65535, NULL, "Port of the API; 0: a free one." },
	{ 0 },
};

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
			    .keys = keys,
			    .shared = shared },
		.metrics = orchestrator_metrics,
		.metric_count = GAUGES,
		.handler = api_handle,
		.http_threads = API_THREADS,
		.run = run,
	};
	int code = worker_main(&spec, argc, argv);

	api_close();
	return usage_error ? EXIT_USAGE : code;
}
