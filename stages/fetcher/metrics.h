#pragma once
/* The fetcher's own metrics. */
#include "common/metrics.h"

enum fetcher_metric {
	FETCHER_RECORDS,
	FETCHER_REFUSED,
	FETCHER_TASKS_DONE,
	FETCHER_TASKS_FAILED,
	FETCHER_METRICS,
};
extern struct metric fetcher_metrics[FETCHER_METRICS];
