#pragma once
/* dlq replay --dry-run: what would become of the letters if they were put back now. */
#include "common/config.h"
#include "ops/cli/query_string.h"

struct dry_run {
	const char *query;     /* filters, as of the list of dead letters */
	const char *validator; /* --config, or NULL: where the validators' rules are told */
	const char *rules;     /* a file that stands in for those of its type, or NULL */
	int64_t max_replays;
	bool as_json;
};

/* The exit code. Nothing is changed. */
int dlq_dry_run(const struct dry_run *what, const struct config *cfg);
