#include "stages/fetcher/fetcher.h"
#include "stages/fetcher/sources/databento/account.h"

const struct config_key fetcher_keys[] = {
	{ "batch.ms", CONFIG_INT, "200", 1, 5000, "ms",
	  "A transaction is committed this long after its first record." },
	{ "turn.records", CONFIG_INT, "2000", 1, 100000, "records",
	  "Records of one task before the next slot's turn." },
	{ "databento.key", CONFIG_SECRET, NULL, 0, 0, NULL,
	  "The API key, 32 characters that start with db-; without it no task of the source is taken. Also "
	  "DATABENTO_API_KEY." },
	{ "databento.url", CONFIG_TEXT, NULL, 0, 0, NULL,
	  "Address of the historical API; " DATABENTO_URL " where nothing is said. Also DATABENTO_GATEWAY." },
	{ "databento.ca_file", CONFIG_TEXT, NULL, 0, 0, NULL,
	  "Certificates (PEM) that the address may be signed with; the system's where nothing is said." },
	{ "databento.calls_per_minute", CONFIG_INT, "300", 1, 6000, "calls",
	  "Calls that one slot makes, in the long run." },
	{ "databento.burst", CONFIG_INT, "20", 1, 1000, "calls", "Calls that one slot may make at once." },
	{ "databento.tries_max", CONFIG_INT, "10", 1, 1000, NULL,
	  "Times that a call is tried without getting further before its task fails." },
	{ "databento.backoff_ms", CONFIG_INT, "1000", 1, 600000, "ms",
	  "Wait after a first failure (429, 5xx, network); doubled with each, and never less than Retry-After." },
	{ "databento.backoff_ms_max", CONFIG_INT, "60000", 1, 3600000, "ms", "The longest such wait." },
	{ "databento.stall_s", CONFIG_INT, "100", 1, 3600, "s", "A transfer without a byte for so long has failed." },
	{ "databento.poll_ms", CONFIG_INT, "5000", 10, 600000, "ms", "Between two looks at a batch job." },
	{ "databento.spool", CONFIG_TEXT, NULL, 0, 0, NULL,
	  "Folder for files of batch jobs while they arrive; $TMPDIR or /var/tmp where nothing is said." },
	{ 0 },
};
