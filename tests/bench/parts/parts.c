/*
 * parts [PASSES [FILE]]: what one record costs in each part of our own code,
 * in nanoseconds of CPU, as JSON; the bar also by hand-written code and by
 * avro-c. Without passes (0) each part has each record once, and nothing is
 * said: for callgrind, which tells parts apart as functions (tests/bench/cost.py).
 * Into FILE go the bars' messages, each after its length, for whoever else is
 * measured with them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/mem.h"
#include "stages/transformer/transform.h"
#include "stages/validator/rules.h"
#include "tests/bench/parts/avro_c.h"
#include "tests/bench/parts/by_hand.h"
#include "tests/bench/parts/sample.h"
#include "tests/bench/parts/workers.h"

#define PASSES 20
#define LOOPS 2             /* of one pass: short, as what else runs comes and goes */
#define SAMPLES_COUNTED 200 /* by callgrind, which is slow: nothing about them changes with time */
#define ROOM ((size_t)64 * 1024 * 1024)

static struct buf scratch = BUF_INIT(ROOM);
static struct ruleset *rules[DATA_TYPES], *rule; /* of each type; one alone */
static struct transform *transform;
static union {
	struct ohlcv ohlcv;
	struct definition definition;
	struct definition_clean clean; /* the largest */
} record;
static struct err err = ERR_INIT;
static uint64_t seen; /* so that nothing is optimised away */

/* --- the parts --------------------------------------------------------------------------------------------------------- */

/* For each type a function of its own for everything that is done with its records. */
#define PARTS_OF(name, id) \
	static void encode_##name(unsigned i) \
	{ \
		record_encode(&name##_type, sample_raw(id, i), &scratch); \
	} \
	static void decode_##name(unsigned i) \
	{ \
		need(record_decode(&name##_type, &record, samples[id].messages[i], &err) == 0, err.text); \
		seen += (uint64_t)record.ohlcv.ordinal; \
	} \
	static void rules_##name(unsigned i) \
	{ \
		seen += ruleset_check(rules[id], sample_raw(id, i), SAMPLE_NOW).rejected; \
	} \
	static void validate_##name(unsigned i) \
	{ \
		workers_validate(id, i); \
	} \
	static void transform_##name(unsigned i) \
	{ \
		need(transform_record(transform, id, sample_raw(id, i), &record, &err) == 0, err.text); \
		seen += (uint64_t)record.ohlcv.ordinal; \
	} \
	static void transform_message_##name(unsigned i) \
	{ \
		workers_transform(id, i); \
	} \
	static void copy_##name(unsigned i) \
	{ \
		need(table_check(workers_table(id), sample_clean(id, i), &err) == 0, err.text); \
		table_encode(workers_table(id), sample_clean(id, i), &scratch); \
	}

PARTS_OF(ohlcv, DATA_OHLCV)
PARTS_OF(trades, DATA_TRADES)
PARTS_OF(tbbo, DATA_TBBO)
PARTS_OF(statistics, DATA_STATISTICS)
PARTS_OF(definition, DATA_DEFINITION)
PARTS_OF(symbol_mapping, DATA_SYMBOL_MAPPING)

static void encode_by_hand(unsigned i)
{
	hand_encode(sample_raw(DATA_OHLCV, i), &scratch);
}

static void decode_by_hand(unsigned i)
{
	need(hand_decode(&record.ohlcv, samples[DATA_OHLCV].messages[i]), "the hand-written decoder refuses");
	seen += (uint64_t)record.ohlcv.ordinal;
}

static void encode_avro_c(unsigned i)
{
	(void)i;
	generic_encode(&scratch);
}

static void decode_avro_c(unsigned i)
{
	generic_decode(samples[DATA_OHLCV].messages[i]);
}

static void mix(unsigned i)
{
	seen += record_mix((int64_t)i + 1);
}

/* The smallest that can be: what calling a part costs. */
static void nothing(unsigned i)
{
	seen += i;
}

static void one_rule(unsigned i)
{
	seen += ruleset_check(rule, sample_raw(DATA_OHLCV, i), SAMPLE_NOW).rejected;
}

#define PART(name) \
	{ \
#name, name \
	}
#define PARTS(name) \
	PART(encode_##name), PART(decode_##name), PART(rules_##name), PART(validate_##name), PART(transform_##name), \
		PART(transform_message_##name), PART(copy_##name)

/* What is compared with each other stands side by side. */
static const struct part {
	const char *name;
	void (*once)(unsigned i);
} parts[] = {
	PART(encode_by_hand),
	PART(encode_ohlcv),
	PART(encode_avro_c),
	PART(decode_by_hand),
	PART(decode_ohlcv),
	PART(decode_avro_c),
	PART(rules_ohlcv),
	PART(validate_ohlcv),
	PART(transform_ohlcv),
	PART(transform_message_ohlcv),
	PART(copy_ohlcv),
	PARTS(trades),
	PARTS(tbbo),
	PARTS(statistics),
	PARTS(definition),
	PARTS(symbol_mapping),
	PART(mix),
	PART(nothing),
};
#define PART_COUNT (sizeof(parts) / sizeof(*parts))

/* --- one rule ---------------------------------------------------------------------------------------------------------- */

#define RULE_MARK "\n  - name: "

/* The bars' rule file with one of its rules only: `text` begins with this one's mark. */
static void open_rule(const char *text)
{
	const char *end = strstr(text + 1, RULE_MARK);
	CLEANUP(freep)
	char *file = mem_printf("name: one\nrecord: ohlcv\nrules:%.*s\n", (int)(end ? end - text : (long)strlen(text)),
				text);

	need(ruleset_compile(&rule, "one", str_of(file), &ohlcv_type, &err) == 0, err.text);
}

/* --- measuring --------------------------------------------------------------------------------------------------------- */

static int64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void once_each(void (*once)(unsigned i))
{
	buf_reset(&scratch);
	for (unsigned i = 0; i < sample_count; i++)
		once(i);
}

/* Nanoseconds a record, once code and records are in the caches. */
static double measure(void (*once)(unsigned i))
{
	int64_t began;

	once_each(once);
	began = cpu_ns();
	for (unsigned loop = 0; loop < LOOPS; loop++)
		once_each(once);
	return (double)(cpu_ns() - began) / (LOOPS * sample_count);
}

/* The least of the passes: what else runs only adds. */
static void keep_least(double *least, double ns)
{
	if (*least == 0 || ns < *least)
		*least = ns;
}

/* Both ways of each give the same bytes, and the same bar. */
static void check_codecs(void)
{
	struct ohlcv bar;

	for (unsigned i = 0; i < sample_count; i++) {
		const struct ohlcv *as_made = sample_raw(DATA_OHLCV, i);
		struct str message = samples[DATA_OHLCV].messages[i];

		buf_reset(&scratch);
		hand_encode(as_made, &scratch);
		need(str_eq(buf_str(&scratch), message), "the two encoders differ");
		need(hand_decode(&bar, message) && bar.close == as_made->close && bar.flags == as_made->flags &&
			     str_eq(bar.symbol, as_made->symbol),
		     "the hand-written decoder differs");
		generic_decode(message);
		buf_reset(&scratch);
		generic_encode(&scratch);
		need(scratch.len == message.len - CONFLUENT_PREFIX &&
			     memcmp(scratch.data, message.data + CONFLUENT_PREFIX, scratch.len) == 0,
		     "avro-c differs");
	}
}

/* Records that pass, and are handed on: what is measured is the way that nearly all of them take. */
static void check_types(void)
{
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		uint64_t before;

		for (unsigned i = 0; i < sample_count; i++) {
			struct verdict verdict =
				ruleset_check(rules[id], sample_raw((enum data_type_id)id, i), SAMPLE_NOW);

			need(!verdict.rejected && !verdict.flagged, "a record violates a rule");
		}
		workers_validate((enum data_type_id)id, 0); /* it tells of the attempt */
		before = workers_produced();
		for (unsigned i = 0; i < sample_count; i++) {
			workers_validate((enum data_type_id)id, i);
			workers_transform((enum data_type_id)id, i);
		}
		need(workers_produced() - before == 2 * sample_count, "not every record is handed on");
	}
}

static void open_all(unsigned count)
{
	samples_open(count);
	workers_open();
	generic_open();
	need(transform_open(&transform, &err) == 0, err.text);
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		CLEANUP(freep) char *path = mem_printf("stages/validator/rules/%s.yaml", data_types[id].name);

		need(ruleset_compile(&rules[id], data_types[id].name, embed_find(path), data_types[id].raw, &err) == 0,
		     err.text);
	}
	check_codecs();
	check_types();
}

static void close_all(void)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		ruleset_freep(&rules[id]);
	transform_freep(&transform);
	generic_close();
	workers_close();
	buf_release(&scratch);
}

static void write_messages(const char *path)
{
	FILE *file = fopen(path, "wb");

	need(file, "the file cannot be written");
	for (unsigned i = 0; i < sample_count; i++) {
		struct str message = samples[DATA_OHLCV].messages[i];

		need(fwrite(&message.len, sizeof(message.len), 1, file) == 1 &&
			     fwrite(message.data, message.len, 1, file) == 1,
		     "the file cannot be written");
	}
	need(fclose(file) == 0, "the file cannot be written");
}

/* Parts take turns, and each rule after them. */
static void run(unsigned passes)
{
	double least[PART_COUNT] = { 0 }, least_rule[RULES_MAX] = { 0 };
	const char *text = embed_find("stages/validator/rules/ohlcv.yaml").data, *at;
	unsigned n = 0;

	for (unsigned pass = 0; pass < passes; pass++) {
		for (unsigned p = 0; p < PART_COUNT; p++)
			keep_least(&least[p], measure(parts[p].once));
		for (n = 0, at = strstr(text, RULE_MARK); at; at = strstr(at + 1, RULE_MARK), n++) {
			open_rule(at);
			keep_least(&least_rule[n], measure(one_rule));
			ruleset_freep(&rule);
		}
	}
	need(n == ruleset_count(rules[DATA_OHLCV]), "not every rule was found");
	printf("{\"rules\": {");
	for (unsigned i = 0; i < n; i++)
		printf("%s\"%s\": %.3f", i ? ", " : "", ruleset_rule(rules[DATA_OHLCV], i).name, least_rule[i]);
	printf("}");
	for (unsigned p = 0; p < PART_COUNT; p++)
		printf(", \"%s\": %.3f", parts[p].name, least[p]);
	printf(", \"records\": %u, \"seen\": %" PRIu64 "}\n", sample_count, seen);
}

int main(int argc, char **argv)
{
	unsigned passes = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : PASSES;

	open_all(passes ? SAMPLES_MAX : SAMPLES_COUNTED);
	if (argc > 2)
		write_messages(argv[2]);
	if (passes)
		run(passes);
	else
		for (unsigned p = 0; p < PART_COUNT; p++)
			once_each(parts[p].once);
	close_all();
	return EXIT_SUCCESS;
}
