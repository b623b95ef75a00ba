#pragma once
/*
 * What every long-running binary has: configuration, log, signals, its own
 * metrics, health and readiness over HTTP, exit codes. main() is one call.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/http_server.h"
#include "common/metrics.h"
#include "common/topics.h"

struct worker {
	struct config *cfg;
	struct topics *topics;
};

/* Metrics that every worker has; its own stand in its own table. */
enum worker_metric {
	WORKER_RECORDS,
	WORKER_BYTES,
	WORKER_REJECTED,
	WORKER_BATCHES,
	WORKER_BATCHES_DROPPED,
	WORKER_OPEN,
	WORKER_RETRIES,
	WORKER_BREAKER,
	WORKER_PARTITIONS,
	WORKER_STOPPED,
	WORKER_METRICS,
};
extern struct metric worker_metrics[WORKER_METRICS];

enum worker_histogram { WORKER_BATCH_RECORDS, WORKER_BATCH_NS, WORKER_COMMIT_NS, WORKER_HISTOGRAMS };
extern struct histogram worker_histograms[WORKER_HISTOGRAMS];

struct worker_spec {
	struct config_spec config;
	const char *work;       /* what its log calls that: "validation" */
	struct metric *metrics; /* its own */
	unsigned metric_count;
	struct metric_family *const *families; /* likewise; ends with NULL. NULL: none */
	/* Serves paths that the worker itself does not; NULL: only /metrics, /healthz, /readyz. */
	http_handler_fn *handler;
	unsigned http_threads;
	config_check_fn *check; /* what else --check and a start look at; NULL: nothing */
	int (*run)(struct worker *worker, struct err *err);
};

/* The whole of main(): returns the exit code. */
int worker_main(const struct worker_spec *spec, int argc, char **argv);

/* SIGTERM or SIGINT came: finish and return. */
bool worker_stopping(void);

/* Sleeps, but not past a stop. */
void worker_wait(int64_t ms);

/* Sleeps for about ms (with jitter) and returns the next one: doubled, at most max. */
int64_t worker_backoff(int64_t ms, int64_t first_ms, int64_t max_ms);

/* What /readyz answers: ready where nothing is missing. Texts are copied. */
void worker_set_ready(bool ready, const char *missing);

/* What a worker stands on; it may be away while the rest is ready. NULL: it is there. */
enum worker_need { WORKER_BROKER, WORKER_DATABASE, WORKER_NEEDS };
void worker_set_missing(enum worker_need need, const char *missing);

/* Answers /metrics, /healthz, /readyz; false: another path. */
bool worker_serve(const struct http_request *request, struct http_response *response);

/*
 * Of partitions that were assigned: ERR_FATAL where the topics are not what the
 * table says. They are asked for once, and again for a partition that it has not.
 */
struct kafka_offset;
int worker_verify_topics(const struct kafka_offset *partitions, unsigned count, struct err *err);

/* This process among others: `instance`, else the host's name. */
const char *worker_instance(const struct config *cfg);

/*
 * "<prefix>penstock.<stage>.<instance>.<slot>": slot is the first number whose
 * abstract socket is free on this host, held until the process ends, so that
 * two unnamed workers on one host never fence each other. Owned by the caller.
 */
char *worker_transactional_id(const struct worker *worker, const char *stage, struct err *err);
