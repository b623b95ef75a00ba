#pragma once
/*
 * Counters and gauges of one process, declared in one table per binary and
 * read by /metrics without a lock.
 */
#include <stdatomic.h>
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

/* Prometheus text exposition format 0.0.4; rows of one name must be neighbours. */
void metrics_render(struct metric *table, unsigned count, struct buf *out);
