#pragma once
/*
 * Examples for a rule set: records, and what the set is to say of them.
 *
 *   record: ohlcv
 *   now: 2024-06-01T12:00:00Z           # for rules about the future
 *   base: {symbol: ESH1, open: 1, …}    # what every record has unless it says otherwise
 *   tests:
 *     - name: the highest is below the lowest
 *       fields: {high: 1, low: 2}
 *       rejected: [HIGH_LESS_THAN_LOW]  # names of rules, in any order; absent: none
 *       flagged: []
 *       message: high < low (high=1, low=2)   # of all of them, in the set's order; absent: any
 *
 * A field that neither has is null, zero or empty.
 */
#include "stages/validator/rules.h"

struct rule_test {
	const char *name;
	unsigned line;
	const char *why; /* it failed; NULL: it passed */
};

typedef void rule_test_report_fn(void *self, const struct rule_test *test);

struct rule_tests {
	unsigned passed, failed;
	uint64_t violated; /* by rules that a test expects, and got */
};

/* Runs every test of the file. ERR_FATAL "file:line:column: …" where it cannot be read as such. */
int rule_tests_run(const struct ruleset *set, const struct record_type *type, const char *path,
		   rule_test_report_fn *report, void *self, struct rule_tests *ret, struct err *err);
