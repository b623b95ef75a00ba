#pragma once
/*
 * What one process counts, declared in tables of its binary and read by
 * /metrics without a lock: counters and gauges, families of them whose labels
 * are known only at run time, histograms.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
	const char *name;   /* Prometheus name, unit last: penstock_records_total */
	const char *labels; /* "outcome=\"inserted\"" or NULL */
	enum metric_type type;
	const char *help;
	_Atomic int64_t value;
};

static inline void metric_add(struct metric *metric, int64_t n)
{
	atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}

static inline void metric_set(struct metric *metric, int64_t n)
{
	atomic_store_explicit(&metric->value, n, memory_order_relaxed);
}

static inline int64_t metric_get(struct metric *metric)
{
	return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

/* Prometheus text exposition format 0.0.4; rows of one name must be neighbours. */
void metrics_render(struct metric *table, unsigned count, struct buf *out);

/* --- rows that come at run time -------------------------------------------------------------------------------------- */

/* One thread adds rows, any reads them. A row stays until the process ends. */
struct metric_family {
	const char *name;
	enum metric_type type;
	const char *help;
	int64_t unit;       /* the rows' values are shown divided by it; 0: as they are */
	const char *others; /* the labels of the last row: what there is no room for is counted there */
	struct metric *rows;
	unsigned max;
	_Atomic unsigned count;
	atomic_bool hidden; /* nobody keeps the rows up to date now: they are not shown */
};

/* The row with these labels, made at the first call. */
struct metric *metric_family_row(struct metric_family *family, const char *labels);

/* Nothing where there is no row, or they are hidden. */
void metric_family_render(struct metric_family *family, struct buf *out);

/* --- histograms ------------------------------------------------------------------------------------------------------ */

#define HISTOGRAM_BOUNDS_MAX 15

struct histogram {
	const char *name, *help;
	int64_t unit; /* what is observed of it is one of the name's: a name in seconds, observed in ns: 1000000000 */
	unsigned bound_count;
	int64_t bounds[HISTOGRAM_BOUNDS_MAX]; /* as observed, ascending; a value belongs to the first not below it */
	_Atomic int64_t counts[HISTOGRAM_BOUNDS_MAX + 1], sum;
};

void histogram_observe(struct histogram *histogram, int64_t value);
void histogram_render(struct histogram *histogram, struct buf *out);
