#include "common/config.h"
#include "stages/orchestrator/orchestrator.h"

const struct config_key orchestrator_keys[] = {
	{ "subscriptions", CONFIG_TEXT, "var/subscriptions.yaml", 0, 0, NULL, "File of the subscriptions." },
	{ "poll_ms", CONFIG_INT, "200", 10, 10000, "ms", "How often the database is asked for work." },
	{ "tasks_per_slot", CONFIG_INT, "16", 1, 100, "tasks",
	  "Attempts outstanding in one slot at most; two while it does not get more done in a second." },
	{ "attempts_max", CONFIG_INT, "5", 1, 1000, "attempts", "A task that is abandoned this often fails." },
	{ "tasks_max", CONFIG_INT, "100000", 1, 1000000, "tasks", "Tasks of one run at most." },
	{ "stalled_after_s", CONFIG_INT, "60", 1, 86400, "s",
	  "An account that stands still this long raises an alarm; ten times this, and the run fails." },
	{ "lease_s", CONFIG_INT, "15", 3, 3600, "s",
	  "A standby takes over from an active one that was not heard of for so long." },
	{ "run_duration_max_s", CONFIG_INT, "3600", 0, 8640000, "s",
	  "A run that takes longer says so in the log, once, and goes on; 0: none does." },
	{ "slow_query_ms", CONFIG_INT, "5000", 1, 3600000, "ms", "A query of the API that takes longer is a warning." },
	{ "query_s", CONFIG_INT, "30", 1, 3600, "s",
	  "A query of the API that takes longer is given up, and its request answered with 503." },
	{ "http.port", CONFIG_INT, "8000", 0, 65535, NULL, "Port of the API; 0: a free one." },
	{ 0 },
};
