/* The codec against avro-c, and against bytes that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <avro.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/kafka.h"
#include "schemas.h"

#define MESSAGE_MAX 4096

static struct ohlcv sample(void)
{
	struct ohlcv r = {
		.attempt = ATTEMPT_MIN + 1234567890123,
		.ordinal = 7,
		.as_of = INT64_C(1700000000123456789),
		.symbol = STR_LIT("AAPL  250221C00250000"),
		.schema = STR_LIT("ohlcv-1m"),
		.dataset = STR_LIT("OPRA.PILLAR"),
		.publisher_id = 30,
		.instrument_id = 4294967295,
		.ts_event = INT64_C(1609160400000000000),
		.open = INT64_C(3720250000000),
		.high = 128,
		.low = -129,
		.close = INT64_MIN,
		.volume = INT64_MAX,
		.volume_exponent = -3,
		.flags = 1,
	};

	r.present = OHLCV_PRESENT;
	return r;
}

static void assert_same(const struct ohlcv *a, const struct ohlcv *b)
{
	assert_int_equal(a->present, b->present);
	for (unsigned i = 0; i < ohlcv_type.field_count; i++) {
		const struct record_field *field = &ohlcv_type.fields[i];

		if (!record_has(a, field))
			continue;
		if (field->type == FIELD_STRING)
			assert_true(str_eq(record_string(a, field), record_string(b, field)));
		else
			assert_int_equal(record_number(a, field), record_number(b, field));
	}
}

static void what_is_encoded_decodes(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(MESSAGE_MAX);
	struct ohlcv in = sample(), out;
	struct lineage lineage;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned nulls = 0; nulls < 16; nulls++) {
		for (unsigned i = 0; i < 4; i++)
			record_set_present(&in, OHLCV_OPEN + i, !(nulls >> i & 1));
		buf_reset(&buf);
		record_encode(&ohlcv_type, &in, &buf);
		assert_int_equal(record_schema_id(buf_str(&buf)), ohlcv_type.schema_id);
		assert_int_equal(record_decode(&ohlcv_type, &out, buf_str(&buf), &err), 0);
		assert_same(&in, &out);
		assert_true(record_lineage(buf_str(&buf), &lineage));
		assert_int_equal(lineage.attempt, in.attempt);
		assert_int_equal(lineage.ordinal, in.ordinal);
		assert_int_equal(lineage.as_of, in.as_of);
	}
}

/* --- avro-c as the oracle -------------------------------------------------------------------------------------------- */

static int64_t decimal_of(avro_value_t *value)
{
	const void *bytes = NULL;
	size_t n = 0;
	int64_t v;

	avro_value_get_bytes(value, &bytes, &n);
	v = ((const signed char *)bytes)[0] < 0 ? -1 : 0;
	for (size_t i = 0; i < n; i++)
		v = (int64_t)((uint64_t)v << 8 | ((const uint8_t *)bytes)[i]);
	return v;
}

static void assert_field(const struct record_field *field, avro_value_t *value, const struct ohlcv *record)
{
	struct str expected;
	const char *text = NULL;
	size_t size = 0;
	int64_t l = 0;
	int32_t i = 0;

	switch (field->type) {
	case FIELD_STRING:
		expected = record_string(record, field);
		avro_value_get_string(value, &text, &size);
		assert_int_equal(size, expected.len + 1);
		assert_memory_equal(text, expected.data, expected.len);
		break;
	case FIELD_DECIMAL:
		assert_int_equal(decimal_of(value), record_number(record, field));
		break;
	case FIELD_INT:
		avro_value_get_int(value, &i);
		assert_int_equal(i, record_number(record, field));
		break;
	default:
		avro_value_get_long(value, &l);
		assert_int_equal(l, record_number(record, field));
	}
}

static void avro_c_reads_the_same(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(MESSAGE_MAX);
	struct str text = embed_find(ohlcv_type.file);
	struct ohlcv in = sample();
	avro_schema_t schema;
	avro_value_iface_t *class;
	avro_value_t record, value, branch;
	avro_reader_t reader;

	(void)state;
	record_set_present(&in, OHLCV_LOW, false);
	record_encode(&ohlcv_type, &in, &buf);
	assert_int_equal(avro_schema_from_json_length(text.data, text.len, &schema), 0);
	class = avro_generic_class_from_schema(schema);
	avro_generic_value_new(class, &record);
	reader = avro_reader_memory((const char *)buf.data + CONFLUENT_PREFIX, (int64_t)buf.len - CONFLUENT_PREFIX);
	assert_int_equal(avro_value_read(reader, &record), 0);
	for (unsigned i = 0; i < ohlcv_type.field_count; i++) {
		const struct record_field *field = &ohlcv_type.fields[i];

		avro_value_get_by_index(&record, i, &value, NULL);
		if (field->nullable) {
			avro_value_get_current_branch(&value, &branch);
			assert_int_equal(avro_value_get_type(&branch) != AVRO_NULL, record_has(&in, field));
			value = branch;
		}
		if (record_has(&in, field))
			assert_field(field, &value, &in);
	}
	avro_reader_free(reader);
	avro_value_decref(&record);
	avro_value_iface_decref(class);
	avro_schema_decref(schema);
}

/* --- bytes that are wrong -------------------------------------------------------------------------------------------- */

static void every_cut_is_refused(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(MESSAGE_MAX);
	struct ohlcv in = sample(), out;

	(void)state;
	record_encode(&ohlcv_type, &in, &buf);
	for (uint32_t n = 0; n < buf.len; n++) {
		char *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past the end */
		struct err err = ERR_INIT;

		memcpy(exact, buf.data, n);
		assert_int_equal(record_decode(&ohlcv_type, &out, (struct str){ exact, n }, &err), -1);
		assert_int_equal(err.kind, ERR_RECORD);
		free(exact);
	}
}

static void bytes_left_over_are_refused(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(MESSAGE_MAX);
	struct ohlcv in = sample(), out;
	struct err err = ERR_INIT;

	(void)state;
	record_encode(&ohlcv_type, &in, &buf);
	buf_put_u8(&buf, 0);
	assert_int_equal(record_decode(&ohlcv_type, &out, buf_str(&buf), &err), -1);
	assert_non_null(strstr(err.text, "left over"));
}

/* Any byte changed to any value: decoded or refused, never read outside. */
static void no_byte_can_harm(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(MESSAGE_MAX);
	struct ohlcv in = sample(), out;

	(void)state;
	record_encode(&ohlcv_type, &in, &buf);
	char *copy = malloc(buf.len);

	for (uint32_t i = 0; i < buf.len; i++)
		for (unsigned v = 0; v < 256; v++) {
			struct err err = ERR_INIT;

			memcpy(copy, buf.data, buf.len);
			copy[i] = (char)v;
			record_decode(&ohlcv_type, &out, (struct str){ copy, (uint32_t)buf.len }, &err);
		}
	free(copy);
}

static void a_message_without_lineage_has_none(void **state)
{
	struct lineage lineage;

	(void)state;
	assert_false(record_lineage(STR_LIT(""), &lineage));
	assert_false(record_lineage(STR_LIT("hello, this is text"), &lineage));
	assert_false(record_lineage((struct str){ "\0\0\0\0\2\0\0\0", 8 }, &lineage)); /* attempt 0 */
	assert_false(record_lineage((struct str){ "\0\0\0\0\2\x80", 6 }, &lineage));
	assert_false(record_lineage((struct str){ "\0\x7f\xff\xff\1\xa2\x1b\x4c\x1a", 9 }, &lineage)); /* by chance */
}

/* --- partitions and mix ---------------------------------------------------------------------------------------------- */

/* Shorter and longer numbers than before; what is behind them stays, be it a record or not. */
static void a_message_is_renumbered(void **state)
{
	static const int64_t ordinals[] = { 1, 63, 64, 8192, INT64_C(1) << 40, INT64_MAX };
	CLEANUP(buf_release) struct buf before = BUF_INIT(MESSAGE_MAX);
	CLEANUP(buf_release) struct buf tight = BUF_INIT(16);
	struct ohlcv in = sample(), out;
	struct err err = ERR_INIT;

	(void)state;
	record_encode(&ohlcv_type, &in, &before);
	for (unsigned i = 0; i < sizeof(ordinals) / sizeof(*ordinals); i++) {
		CLEANUP(buf_release) struct buf after = BUF_INIT(MESSAGE_MAX);
		struct ohlcv wanted = in;

		wanted.attempt = ATTEMPT_MIN + 5;
		wanted.ordinal = ordinals[i];
		assert_true(record_renumber(buf_str(&before), wanted.attempt, wanted.ordinal, &after));
		assert_int_equal(record_decode(&ohlcv_type, &out, buf_str(&after), &err), 0);
		assert_same(&wanted, &out);
	}
	assert_false(record_renumber(STR_LIT("hello, this is text"), ATTEMPT_MIN, 1, &tight));
	assert_false(record_renumber(buf_str(&before), ATTEMPT_MIN, 1, &tight));
	assert_int_equal(tight.len, 0);
}

static void what_does_not_decode_is_renumbered(void **state)
{
	CLEANUP(buf_release) struct buf before = BUF_INIT(MESSAGE_MAX);
	CLEANUP(buf_release) struct buf after = BUF_INIT(MESSAGE_MAX);
	struct ohlcv in = sample();
	struct lineage lineage;

	(void)state;
	record_encode(&ohlcv_type, &in, &before);
	before.len -= 20;
	assert_true(record_renumber(buf_str(&before), in.attempt + 1, in.ordinal, &after));
	assert_int_equal(after.len, before.len);
	assert_memory_equal(after.data + 20, before.data + 20, before.len - 20);
	assert_true(record_lineage(buf_str(&after), &lineage));
	assert_int_equal(lineage.attempt, in.attempt + 1);
	assert_int_equal(lineage.as_of, in.as_of);
}

/* Hashes from Kafka's own UtilsTest.testMurmur2, made positive as its partitioner does. */
static void partitions_are_kafkas(void **state)
{
	static const struct {
		const char *key;
		int32_t hash;
	} cases[] = {
		{ "21", -973932308 },
		{ "foobar", -790332482 },
		{ "a-little-bit-long-string", -985981536 },
		{ "a-little-bit-longer-string", -1486304829 },
		{ "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
		{ "abc", 479470107 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int32_t n = 1; n < 50; n++)
			assert_int_equal(kafka_partition(str_of(cases[i].key), n), (cases[i].hash & 0x7fffffff) % n);
}

/* The first outputs of splitmix64 with seed 0 (Vigna's reference implementation). */
static void mix_is_splitmix64(void **state)
{
	(void)state;
	assert_true(record_mix(0) == UINT64_C(0xe220a8397b1dcdaf));
	assert_true(record_mix((int64_t)UINT64_C(0x9e3779b97f4a7c15)) == UINT64_C(0x6e789e6aa1b965f4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_decodes), cmocka_unit_test(avro_c_reads_the_same),
		cmocka_unit_test(every_cut_is_refused),    cmocka_unit_test(bytes_left_over_are_refused),
		cmocka_unit_test(no_byte_can_harm),        cmocka_unit_test(a_message_without_lineage_has_none),
		cmocka_unit_test(partitions_are_kafkas),   cmocka_unit_test(mix_is_splitmix64),
		cmocka_unit_test(a_message_is_renumbered), cmocka_unit_test(what_does_not_decode_is_renumbered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
