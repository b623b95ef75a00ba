#pragma once
/* The simulated vendor: what it sells, what happened to it, what is wrong with it, and what it billed. */
#include "common/err.h"
#include "ops/simulator/market/defects.h"
#include "ops/simulator/market/history.h"
#include "ops/simulator/market/instruments.h"
#include "ops/simulator/vendor/faults.h"
#include "ops/simulator/vendor/jobs.h"
#include "ops/simulator/vendor/meter.h"

#define DATASETS_MAX 8

struct simulator_options {
	const char *listen; /* address:port; port 0: a free one */
	const char *tls;    /* a PEM file with key and certificate; NULL: plain HTTP */
	struct market_options market;
	struct defects defects;
	uint32_t degraded_permille;
	unsigned dbn_version;
	bool weekend_422; /* a window without a trading day is an error, not an empty body */
	uint32_t batch_polls;
};

struct simulator {
	struct simulator_options options;
	struct instruments instruments[DATASETS_MAX]; /* in the order of the datasets */
	struct archive archive;
	struct faults faults;
	struct meter meter;
	struct jobs jobs;
};

struct simulator *simulator_open(const struct simulator_options *options);
void simulator_freep(struct simulator **simulator);

const struct instruments *simulator_instruments(const struct simulator *simulator, const struct dataset *dataset);
