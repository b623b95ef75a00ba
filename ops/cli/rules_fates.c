#include "ops/cli/rules_fates.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "ops/cli/rules_fates_symbols.h"

#define MESSAGE_MAX 65536

void fate_tally_open(struct fate_tally *ret, const struct data_schema *schema, const struct ruleset *today,
		     const struct ruleset *candidate)
{
	const struct record_type *type = data_types[schema->type].raw;

	*ret = (struct fate_tally){ .today = today, .candidate = candidate, .schema = schema };
	ret->schema_field = record_field_find(type, STR_LIT("schema"));
	ret->symbol_field = record_field_find(type, STR_LIT("symbol"));
	ret->record = mem_zalloc(1, type->size);
	ret->symbols = fate_symbols_new();
}

static void drop_example(struct fate_example *example)
{
	free(example->symbol);
	free(example->message);
	*example = (struct fate_example){ .symbol = NULL };
}

void fate_tally_release(struct fate_tally *tally)
{
	for (unsigned change = 0; change < CHANGES; change++)
		for (unsigned i = 0; i < RULES_MAX; i++)
			for (unsigned k = 0; k < tally->rules[change][i].examples; k++)
				drop_example(&tally->rules[change][i].example[k]);
	fate_symbols_freep(&tally->symbols);
	freep(&tally->record);
	tally->record = NULL;
}

const struct ruleset *fate_tally_set(const struct fate_tally *tally, enum fate_change change)
{
	return change == CHANGE_FAIL || change == CHANGE_FLAG ? tally->candidate : tally->today;
}

/* --- examples ----------------------------------------------------------------------------------------------------------- */

/* By time, so that the same range has the same examples, whichever thread comes first. */
static bool is_before(const struct fate_example *a, const struct fate_example *b)
{
	if (a->timestamp_ms != b->timestamp_ms)
		return a->timestamp_ms < b->timestamp_ms;
	if (a->partition != b->partition)
		return a->partition < b->partition;
	return a->offset < b->offset;
}

/* Where it belongs among them; FATE_EXAMPLES: nowhere. */
static unsigned place_of(const struct fate_rule *rule, const struct fate_example *example)
{
	unsigned at = 0;

	while (at < rule->examples && is_before(&rule->example[at], example))
		at++;
	return at;
}

static void put_example(struct fate_rule *rule, const struct fate_example *example)
{
	unsigned at = place_of(rule, example);

	if (rule->examples == FATE_EXAMPLES)
		drop_example(&rule->example[--rule->examples]);
	for (unsigned k = rule->examples++; k > at; k--)
		rule->example[k] = rule->example[k - 1];
	rule->example[at] = *example;
}

static struct str symbol_of(const struct fate_tally *tally)
{
	return record_string(tally->record, tally->symbol_field);
}

static char *explain(const struct fate_tally *tally, enum fate_change change, unsigned index)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(MESSAGE_MAX);

	ruleset_explain(fate_tally_set(tally, change), tally->record, UINT64_C(1) << index, &text);
	return mem_strdup(buf_text(&text));
}

static void keep_example(struct fate_tally *tally, enum fate_change change, unsigned index,
			 const struct kafka_message *m)
{
	const struct record_field *lineage = data_types[tally->schema->type].raw->fields;
	struct fate_rule *rule = &tally->rules[change][index];
	struct fate_example example = { .timestamp_ms = m->timestamp_ms,
					.offset = m->offset,
					.partition = m->partition };
	char shown[STR_SHOWN_MAX];

	if (place_of(rule, &example) == FATE_EXAMPLES)
		return;
	example.attempt = record_number(tally->record, &lineage[0]);
	example.ordinal = record_number(tally->record, &lineage[1]);
	example.symbol = mem_strdup(str_show(symbol_of(tally), shown));
	example.message = explain(tally, change, index);
	put_example(rule, &example);
}

/* --- judging ------------------------------------------------------------------------------------------------------------ */

static enum fate fate_of(struct verdict verdict)
{
	return verdict.rejected ? FATE_FAIL : verdict.flagged ? FATE_FLAG : FATE_PASS;
}

static enum fate_change change_of(enum fate was, enum fate is)
{
	if (was == is)
		return CHANGE_NONE;
	if (is == FATE_FAIL)
		return CHANGE_FAIL;
	if (was == FATE_FAIL)
		return CHANGE_PASS;
	return is == FATE_FLAG ? CHANGE_FLAG : CHANGE_FLAG_GONE;
}

/* The rules that are why: those that the record violates where it is the worse off. */
static uint64_t reasons(enum fate_change change, struct verdict was, struct verdict is)
{
	switch (change) {
	case CHANGE_FAIL:
		return is.rejected;
	case CHANGE_PASS:
		return was.rejected;
	case CHANGE_FLAG:
		return is.flagged;
	default:
		return was.flagged;
	}
}

static void count_change(struct fate_tally *tally, enum fate_change change, uint64_t rules,
			 const struct kafka_message *m)
{
	tally->changes[change]++;
	fate_symbols_count(tally->symbols, symbol_of(tally), change, 1);
	for (; rules; rules &= rules - 1) {
		unsigned index = (unsigned)__builtin_ctzll(rules);

		tally->rules[change][index].records++;
		keep_example(tally, change, index, m);
	}
}

static void count_time(struct fate_tally *tally, int64_t timestamp_ms)
{
	if (tally->records++ == 0)
		tally->first_ms = tally->last_ms = timestamp_ms;
	else if (timestamp_ms < tally->first_ms)
		tally->first_ms = timestamp_ms;
	else if (timestamp_ms > tally->last_ms)
		tally->last_ms = timestamp_ms;
}

void fate_tally_take(struct fate_tally *tally, const struct kafka_message *m)
{
	struct verdict was, is;
	enum fate_change change;
	struct err err;
	int64_t now_ns;

	if (record_decode(data_types[tally->schema->type].raw, tally->record, m->value, &err)) {
		tally->undecoded++;
		return;
	}
	if (!str_eq(record_string(tally->record, tally->schema_field), str_of(tally->schema->name))) {
		tally->other_schemas++;
		return;
	}
	count_time(tally, m->timestamp_ms);
	if (__builtin_mul_overflow(m->timestamp_ms, NS_PER_MS, &now_ns))
		now_ns = INT64_MAX;
	was = ruleset_check(tally->today, tally->record, now_ns);
	is = ruleset_check(tally->candidate, tally->record, now_ns);
	tally->fates[fate_of(was)][fate_of(is)]++;
	change = change_of(fate_of(was), fate_of(is));
	if (change != CHANGE_NONE)
		count_change(tally, change, reasons(change, was, is), m);
}

/* --- adding up ---------------------------------------------------------------------------------------------------------- */

static void add_rule(struct fate_rule *rule, struct fate_rule *other)
{
	rule->records += other->records;
	for (unsigned k = 0; k < other->examples; k++) {
		if (place_of(rule, &other->example[k]) == FATE_EXAMPLES) {
			drop_example(&other->example[k]);
			continue;
		}
		put_example(rule, &other->example[k]);
	}
	other->examples = 0;
}

static void add_times(struct fate_tally *tally, const struct fate_tally *other)
{
	if (other->records == 0)
		return;
	if (tally->records == 0 || other->first_ms < tally->first_ms)
		tally->first_ms = other->first_ms;
	if (tally->records == 0 || other->last_ms > tally->last_ms)
		tally->last_ms = other->last_ms;
}

void fate_tally_add(struct fate_tally *tally, struct fate_tally *other)
{
	add_times(tally, other);
	tally->records += other->records;
	tally->other_schemas += other->other_schemas;
	tally->undecoded += other->undecoded;
	for (unsigned was = 0; was < FATES; was++)
		for (unsigned is = 0; is < FATES; is++)
			tally->fates[was][is] += other->fates[was][is];
	for (unsigned change = 0; change < CHANGES; change++) {
		tally->changes[change] += other->changes[change];
		for (unsigned i = 0; i < RULES_MAX; i++)
			add_rule(&tally->rules[change][i], &other->rules[change][i]);
	}
	fate_symbols_add(tally->symbols, other->symbols);
}
