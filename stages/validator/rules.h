#pragma once
/*
 * Rule sets: YAML files of named conditions over a record's fields, compiled
 * against its descriptor. A rule names what is wrong: it is violated where
 * its condition holds. Every violated rule is reported.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/record.h"

#define RULES_MAX 64 /* of one set: the verdict is a bitmap */

struct ruleset;

/* Bit i: rule i of the set was violated. */
struct verdict {
	uint64_t rejected; /* severity reject */
	uint64_t flagged;  /* severity flag */
};

/* `name` stands in errors (the file's name), which also give line and column. Text need not outlive the call. */
int ruleset_compile(struct ruleset **ret, const char *name, struct str yaml, const struct record_type *type,
		    struct err *err);
void ruleset_freep(struct ruleset **ruleset);

/* "ohlcv@3-1a2b3c4d": name, the number that its author counts up, and a fingerprint of the text, whoever forgets to. */
const char *ruleset_version(const struct ruleset *ruleset);
unsigned ruleset_number(const struct ruleset *ruleset);
unsigned ruleset_count(const struct ruleset *ruleset);

/* A rule as the file has it: `when` is "" where it always applies. */
struct rule_text {
	const char *name, *when, *violated, *doc;
	bool rejects;
};
struct rule_text ruleset_rule(const struct ruleset *ruleset, unsigned index);

/* now_ns: for rules about the future. No allocation. */
struct verdict ruleset_check(const struct ruleset *ruleset, const void *record, int64_t now_ns);

/* "HIGH_LESS_THAN_LOW,HIGH_LESS_THAN_OPEN" */
void ruleset_names(const struct ruleset *ruleset, uint64_t violated, struct buf *out);

/* "high < low (high=1.5, low=2); …": each condition with the values that it saw. */
void ruleset_explain(const struct ruleset *ruleset, const void *record, uint64_t violated, struct buf *out);
