/* What `rules try` found, as JSON and for people. */
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "ops/cli/rules_try.h"

#define SYMBOLS_LISTED 1000 /* of each change */
#define SYMBOLS_SHOWN 10

static const struct {
	const char *name, *words;
} changes[CHANGES] = {
	[CHANGE_FAIL] = { "would_fail", "would now fail" },
	[CHANGE_PASS] = { "would_pass", "would now pass" },
	[CHANGE_FLAG] = { "would_be_flagged", "would now be flagged" },
	[CHANGE_FLAG_GONE] = { "would_not_be_flagged", "would not be flagged any more" },
};

static json_t *time_of(int64_t ms)
{
	char text[CLOCK_TEXT_MAX];

	clock_format(ms * NS_PER_MS, 3, text);
	return json_string(text);
}

/* --- as JSON ------------------------------------------------------------------------------------------------------------ */

static json_t *example_of(const struct fate_example *e)
{
	return json_pack("{s:i, s:I, s:o, s:I, s:I, s:s, s:s}", "partition", (int)e->partition, "offset",
			 (json_int_t)e->offset, "time", time_of(e->timestamp_ms), "attempt", (json_int_t)e->attempt,
			 "ordinal", (json_int_t)e->ordinal, "symbol", e->symbol, "message", e->message);
}

static json_t *rules_of(const struct trial *trial, enum fate_change change)
{
	const struct ruleset *set = fate_tally_set(&trial->tally, change);
	json_t *list = json_array();

	for (unsigned i = 0; i < ruleset_count(set); i++) {
		const struct fate_rule *rule = &trial->tally.rules[change][i];
		json_t *examples = json_array();

		for (unsigned k = 0; k < rule->examples; k++)
			json_array_append_new(examples, example_of(&rule->example[k]));
		if (rule->records > 0)
			json_array_append_new(list,
					      json_pack("{s:s, s:I, s:O}", "rule", ruleset_rule(set, i).name, "records",
							(json_int_t)rule->records, "examples", examples));
		json_decref(examples);
	}
	return list;
}

static json_t *change_of(const struct trial *trial, enum fate_change change)
{
	size_t count;
	struct fate_symbol *sorted = fate_symbols_sorted(&trial->tally, change, &count);
	json_t *symbols = json_array();

	for (size_t i = 0; i < count && i < SYMBOLS_LISTED; i++)
		json_array_append_new(symbols, json_pack("{s:s, s:I}", "symbol", sorted[i].name, "records",
							 (json_int_t)sorted[i].records));
	fate_symbols_drop(sorted, count);
	return json_pack("{s:I, s:o, s:I, s:o}", "records", (json_int_t)trial->tally.changes[change], "rules",
			 rules_of(trial, change), "symbol_count", (json_int_t)count, "symbols", symbols);
}

/* A set with its version, and what it does with the records. */
static json_t *set_of(const struct trial *trial, const struct rules *rules, bool is_candidate)
{
	json_t *out = rules_source(rules);
	int64_t fates[FATES] = { 0 };

	for (unsigned was = 0; was < FATES; was++)
		for (unsigned is = 0; is < FATES; is++)
			fates[is_candidate ? is : was] += trial->tally.fates[was][is];
	json_object_set_new(out, "passed", json_integer(fates[FATE_PASS] + fates[FATE_FLAG]));
	json_object_set_new(out, "flagged", json_integer(fates[FATE_FLAG]));
	json_object_set_new(out, "failed", json_integer(fates[FATE_FAIL]));
	return out;
}

json_t *trial_report(const struct trial *trial)
{
	const struct fate_tally *tally = &trial->tally;
	json_t *found = json_object();

	for (unsigned change = 0; change < CHANGES; change++)
		json_object_set_new(found, changes[change].name, change_of(trial, (enum fate_change)change));
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:f}", "schema",
			 trial->schema->name, "topic", trial->ranges.topic, "since",
			 trial->since_ns == PAST_FROM_BEGINNING ? json_null() : time_of(trial->since_ns / NS_PER_MS),
			 "first", time_of(tally->first_ms), "last", time_of(tally->last_ms), "records",
			 (json_int_t)tally->records, "sample",
			 trial->sample ? json_integer(trial->sample) : json_null(), "offsets",
			 (json_int_t)trial->ranges.entries, "other_schemas", (json_int_t)tally->other_schemas,
			 "undecoded", (json_int_t)tally->undecoded, "today", set_of(trial, &trial->today, false),
			 "candidate", set_of(trial, &trial->candidate, true), "changes", found, "seconds",
			 (double)trial->took_ns / (double)NS_PER_SECOND);
}

/* --- for people --------------------------------------------------------------------------------------------------------- */

static const char *text_in(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static long long number_in(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

/* A symbol may hold anything; orders for the terminal are none here. */
static void print_plain(const char *text)
{
	for (const char *at = text; *at; at++)
		putchar((unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at);
}

static void print_set(const char *what, const json_t *set)
{
	printf("%-9s  %s (%s): %lld pass (%lld flagged), %lld fail\n", what, text_in(set, "version"),
	       text_in(set, "place"), number_in(set, "passed"), number_in(set, "flagged"), number_in(set, "failed"));
}

static void print_rule(const json_t *rule)
{
	size_t i;
	json_t *example;

	printf("  %-30s %lld\n", text_in(rule, "rule"), number_in(rule, "records"));
	json_array_foreach(json_object_get(rule, "examples"), i, example)
	{
		printf("    %s [%lld] %lld ", text_in(example, "time"), number_in(example, "partition"),
		       number_in(example, "offset"));
		print_plain(text_in(example, "symbol"));
		printf(": ");
		print_plain(text_in(example, "message"));
		putchar('\n');
	}
}

static void print_symbols(const json_t *change)
{
	long long count = number_in(change, "symbol_count");
	size_t i;
	json_t *symbol;

	printf("  of %lld symbol%s:", count, count == 1 ? "" : "s");
	json_array_foreach(json_object_get(change, "symbols"), i, symbol)
	{
		if (i == SYMBOLS_SHOWN)
			break;
		printf("%s ", i ? "," : "");
		print_plain(text_in(symbol, "symbol"));
		printf(" %lld", number_in(symbol, "records"));
	}
	printf("%s\n", count > SYMBOLS_SHOWN ? ", …" : "");
}

static void print_change(const json_t *change, const char *words)
{
	size_t i;
	json_t *rule;

	printf("%s: %lld\n", words, number_in(change, "records"));
	if (number_in(change, "records") == 0)
		return;
	json_array_foreach(json_object_get(change, "rules"), i, rule) print_rule(rule);
	print_symbols(change);
}

void trial_print(const struct trial *trial, const json_t *report)
{
	const struct fate_tally *tally = &trial->tally;
	double seconds = (double)trial->took_ns / (double)NS_PER_SECOND;

	printf("%s in %s from %s to %s: ", trial->schema->name, trial->ranges.topic, text_in(report, "first"),
	       text_in(report, "last"));
	if (trial->sample)
		printf("a sample of %lld records of about %lld\n", (long long)tally->records,
		       (long long)trial->ranges.entries);
	else
		printf("%lld records\n", (long long)tally->records);
	if (tally->other_schemas + tally->undecoded > 0)
		printf("beside them   %lld of other schemas, %lld that do not decode\n",
		       (long long)tally->other_schemas, (long long)tally->undecoded);
	print_set("today", json_object_get(report, "today"));
	print_set("candidate", json_object_get(report, "candidate"));
	for (unsigned change = 0; change < CHANGES; change++)
		print_change(json_object_get(json_object_get(report, "changes"), changes[change].name),
			     changes[change].words);
	printf("%.1f s, %.0f records/s\n", seconds,
	       (double)(tally->records + tally->other_schemas + tally->undecoded) / seconds);
}
