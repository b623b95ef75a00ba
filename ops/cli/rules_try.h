#pragma once
/* What `rules try` was asked, and how it shows what it found. */
#include <stdio.h>

#include "ops/cli/rules.h"
#include "ops/cli/rules_fates.h"
#include "ops/cli/rules_past.h"

struct trial {
	const struct data_schema *schema;
	struct rules today, candidate;
	int64_t since_ns; /* PAST_FROM_BEGINNING: not said */
	int64_t sample;   /* records; 0: all */
	struct topics *topics;
	struct past_ranges ranges;
	struct fate_tally tally;
	int64_t took_ns;
};

/* All of it: every symbol up to a bound, three examples of each rule. */
json_t *trial_report(const struct trial *trial);

/* The same for people, shortened. */
void trial_print(const struct trial *trial, const json_t *report);
