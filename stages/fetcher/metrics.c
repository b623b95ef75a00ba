#include "stages/fetcher/metrics.h"

#include <stdio.h>

#define TASKS "penstock_fetcher_tasks_total"
#define TASKS_HELP "Tasks that ended."
#define CALLS_MAX 128 /* calls times statuses that were met */

struct metric fetcher_metrics[FETCHER_METRICS] = {
	[FETCHER_RECORDS] = { "penstock_fetcher_records_total", NULL, METRIC_COUNTER, "Records produced.", 0 },
	[FETCHER_REFUSED] = { "penstock_fetcher_refused_total", NULL, METRIC_COUNTER, "Records refused by the decoder.",
			      0 },
	[FETCHER_TASKS_DONE] = { TASKS, "state=\"done\"", METRIC_COUNTER, TASKS_HELP, 0 },
	[FETCHER_TASKS_FAILED] = { TASKS, "state=\"failed\"", METRIC_COUNTER, TASKS_HELP, 0 },
	[FETCHER_TASKS_ABANDONED] = { TASKS, "state=\"abandoned\"", METRIC_COUNTER, TASKS_HELP, 0 },
	[FETCHER_TASKS_PARKED] = { TASKS, "state=\"parked\"", METRIC_COUNTER, TASKS_HELP, 0 },
	[FETCHER_INPUT_BYTES] = { "penstock_fetcher_source_bytes_total", NULL, METRIC_COUNTER,
				  "Bytes of files and vendors' answers that tasks had read when they ended.", 0 },
	[FETCHER_VENDOR_RETRIES] = { "penstock_fetcher_vendor_retries_total", NULL, METRIC_COUNTER,
				     "Calls of vendors put off to be made again after a failure.", 0 },
	[FETCHER_VENDOR_THROTTLED] = { "penstock_fetcher_vendor_throttled_total", NULL, METRIC_COUNTER,
				       "Calls that waited for our own rate limit.", 0 },
	[FETCHER_VENDOR_LEFT] = { "penstock_fetcher_vendor_calls_left", NULL, METRIC_GAUGE,
				  "Calls that our rate limit still allowed at once after the last one, in its slot; 0 too "
				  "before the first.",
				  0 },
};

static struct metric call_rows[CALLS_MAX];
static struct metric_family calls = {
	.name = "penstock_fetcher_vendor_calls_total",
	.type = METRIC_COUNTER,
	.help = "Calls of vendors by what they were answered with; none: no answer, or it broke off.",
	.others = "source=\"other\",call=\"other\",status=\"other\"",
	.rows = call_rows,
	.max = CALLS_MAX,
};
struct metric_family *const fetcher_families[] = { &calls, NULL };

void fetcher_count_call(const char *source, const char *call, long status)
{
	char labels[160], code[24];

	snprintf(code, sizeof(code), "%ld", status);
	snprintf(labels, sizeof(labels), "source=\"%s\",call=\"%s\",status=\"%s\"", source, call,
		 status ? code : "none");
	metric_add(metric_family_row(&calls, labels), 1);
}
