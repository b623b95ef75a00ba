#pragma once
/* The fetcher's own metrics. */
#include "common/metrics.h"

enum fetcher_metric {
	FETCHER_RECORDS,
	FETCHER_REFUSED,
	FETCHER_TASKS_DONE,
	FETCHER_TASKS_FAILED,
	FETCHER_TASKS_ABANDONED,
	FETCHER_TASKS_PARKED,
	FETCHER_INPUT_BYTES,
	FETCHER_VENDOR_RETRIES,
	FETCHER_VENDOR_THROTTLED,
	FETCHER_VENDOR_LEFT,
	FETCHER_METRICS,
};
extern struct metric fetcher_metrics[FETCHER_METRICS];
extern struct metric_family *const fetcher_families[];

/* One answer of a vendor; status 0: there was none, or it broke off before its end. */
void fetcher_count_call(const char *source, const char *call, long status);
