#pragma once
/*
 * What becomes of records under two rule sets, the one of today and a
 * candidate: how many change their fate, by which rules, of which symbols,
 * with examples. A tally belongs to one thread; tallies add up.
 */
#include "common/data_types.h"
#include "common/kafka.h"
#include "stages/validator/rules.h"

/* What a set does with a record. */
enum fate { FATE_PASS, FATE_FLAG, FATE_FAIL, FATES };

/* A record's change of fate; none of them: it stays as it is. */
enum fate_change {
	CHANGE_FAIL,      /* it would fail, and passes today */
	CHANGE_PASS,      /* it would pass, and fails today */
	CHANGE_FLAG,      /* it passes both ways, and would be flagged */
	CHANGE_FLAG_GONE, /* likewise, and would not be flagged any more */
	CHANGES,
	CHANGE_NONE = CHANGES,
};

#define FATE_EXAMPLES 3 /* of a rule: the earliest */

struct fate_example {
	int64_t timestamp_ms, offset;
	int32_t partition;
	int64_t attempt, ordinal;
	char *symbol, *message; /* the rule's condition with the values that it saw */
};

/* Of one rule; of those that fail or are flagged the candidate's rule, of the others today's. */
struct fate_rule {
	int64_t records;
	unsigned examples;
	struct fate_example example[FATE_EXAMPLES];
};

struct fate_symbols; /* how many records of each symbol change */

struct fate_tally {
	const struct ruleset *today, *candidate; /* borrowed */
	const struct data_schema *schema;
	const struct record_field *schema_field, *symbol_field;
	void *record;
	int64_t records, other_schemas, undecoded;
	int64_t fates[FATES][FATES]; /* by today's, and the candidate's */
	int64_t changes[CHANGES];
	struct fate_rule rules[CHANGES][RULES_MAX];
	struct fate_symbols *symbols;
	int64_t first_ms, last_ms; /* when the first and the last of them were written; of none: 0 */
};

void fate_tally_open(struct fate_tally *ret, const struct data_schema *schema, const struct ruleset *today,
		     const struct ruleset *candidate);
void fate_tally_release(struct fate_tally *tally);

/* Judges a message of the schema's raw topic as it was at its time; others are counted only. */
void fate_tally_take(struct fate_tally *tally, const struct kafka_message *message);

/* What the other counted goes over into this one; the other is to be released. */
void fate_tally_add(struct fate_tally *tally, struct fate_tally *other);

/* Which set's rule `rules[change][…]` are of. */
const struct ruleset *fate_tally_set(const struct fate_tally *tally, enum fate_change change);

/* --- symbols ---------------------------------------------------------------------------------------------------------- */

struct fate_symbol {
	char *name; /* as text, whatever its bytes are */
	int64_t records;
};

/*
 * Symbols of which records change so, the most first; how many there are in *ret_count. Past a million, all further
 * ones are one, called "(others)". Owned by the caller, names included.
 */
struct fate_symbol *fate_symbols_sorted(const struct fate_tally *tally, enum fate_change change, size_t *ret_count);
void fate_symbols_drop(struct fate_symbol *list, size_t count);
