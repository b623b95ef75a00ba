#include "tests/unit/dbn_bytes.h"

#include "common/record.h"

static const struct {
	uint16_t schema;
	uint8_t rtype;
	const struct record_type *type;
} loads[] = {
	{ 5, 0x20, &ohlcv_type }, { 6, 0x21, &ohlcv_type },       { 7, 0x22, &ohlcv_type },
	{ 8, 0x23, &ohlcv_type }, { 13, 0x24, &ohlcv_type },      { 4, 0x00, &trades_type },
	{ 3, 0x01, &tbbo_type },  { 10, 0x18, &statistics_type }, { 9, 0x13, &definition_type },
};

/* --- any bytes: what is filled in is what the table of fields says ------------------------------------------------ */

static uint64_t dice_state;

static uint64_t dice(void)
{
	dice_state += UINT64_C(0x9E3779B97F4A7C15);
	return (uint64_t)record_mix((int64_t)dice_state);
}

/* Every field anything, often its greatest number; times that fit, text that is text. */
static struct bytes_record any_record(unsigned version, uint8_t rtype)
{
	struct bytes_record record = bytes_record(version, rtype);

	for (const struct dbn_field *field = dbn_type_of(rtype)->fields; field->name; field++) {
		if (field->at[version - 1] == 0)
			continue;
		if (field->kind == DBN_TEXT)
			bytes_set_text(&record, field->name, dice() % 2 ? "AB C" : "");
		else if (field->kind == DBN_CHAR)
			bytes_set_number(&record, field->name, dice() % 3 ? 'A' + dice() % 26 : 0);
		else if (field->kind == DBN_TIME)
			bytes_set_number(&record, field->name,
					 dice() % 3 || strcmp(field->name, "ts_recv") == 0 ? FILES_NOON : UINT64_MAX);
		else if (strcmp(field->name, "volume") == 0)
			bytes_set_number(&record, field->name, dice() >> 1);
		else
			bytes_set_number(&record, field->name, dice() % 3 ? dice() : dice() % 2 ? 0 : UINT64_MAX >> 1);
	}
	return record;
}

static bool is_leg(const char *name)
{
	return strncmp(name, "leg_", 4) == 0;
}

static void check_field(const struct record_type *type, const void *record, const struct dbn_field *field,
			const struct dbn_value *value)
{
	const char *name = strcmp(field->name, "flags") == 0 ? "vendor_flags" : field->name;
	const struct record_field *to = record_field_find(type, str_of(name));
	char digits[32];

	if (!to)
		fail_msg("%s has no %s", type->name, name);
	if (record_has(record, to) == value->null)
		fail_msg("%s.%s is %snull", type->name, name, value->null ? "not " : "");
	if (value->null)
		return;
	snprintf(digits, sizeof(digits), "%ju", (uintmax_t)value->number);
	if (to->type != FIELD_STRING && record_number(record, to) != value->number)
		fail_msg("%s.%s is %jd, not %jd", type->name, name, (intmax_t)record_number(record, to),
			 (intmax_t)value->number);
	if (to->type == FIELD_STRING && field->kind != DBN_TEXT && field->kind != DBN_CHAR)
		assert_true(str_eq(record_string(record, to), str_of(digits)));
	else if (to->type == FIELD_STRING)
		assert_true(str_eq(record_string(record, to), value->text));
}

static void check_all(unsigned version, const struct record_type *type, const struct source_item *item,
		      const struct bytes_record *from)
{
	struct str bytes = { (const char *)from->bytes, from->len };
	const struct record_field *legs = record_field_find(type, STR_LIT("leg_count"));
	struct dbn_value value;

	assert_ptr_equal(item->type, type);
	assert_ptr_equal(item->lineage, &((struct ohlcv *)item->record)->attempt);
	for (const struct dbn_field *field = dbn_type_of(from->bytes[1])->fields; field->name; field++) {
		if (!dbn_field_read(field, version, bytes, &value))
			continue;
		if (legs && record_number(item->record, legs) == 0 && is_leg(field->name) && value.number == 0)
			continue; /* test_definition_legs */
		check_field(type, item->record, field, &value);
	}
}

static void test_any_values(void **state)
{
	(void)state;
	for (unsigned version = 1; version <= DBN_VERSION; version++)
		for (size_t i = 0; i < ARRAY_LEN(loads); i++)
			for (unsigned ts_out = 0; ts_out < 2; ts_out++) {
				struct buf file = BUF_INIT(FILE_MAX_BYTES);
				struct bytes_record records[40];
				struct source *source;

				bytes_put_metadata(&file, version, loads[i].schema, ts_out);
				for (size_t n = 0; n < ARRAY_LEN(records); n++) {
					records[n] = any_record(version, loads[i].rtype);
					records[n].len += ts_out * DBN_TS_OUT_BYTES;
					records[n].bytes[0] = (uint8_t)(records[n].len / 4);
					bytes_put_record(&file, &records[n]);
				}
				source = bytes_open(&file, dbn_schema_name(loads[i].schema));
				for (size_t n = 0; n < ARRAY_LEN(records); n++) {
					struct source_item item = bytes_next(source, SOURCE_RECORD);

					check_all(version, loads[i].type, &item, &records[n]);
					assert_string_equal(item.schema, dbn_schema_name(loads[i].schema));
					assert_true(str_eq(item.symbol, STR_LIT("AAPL")));
				}
				bytes_next(source, SOURCE_END);
				source_freep(&source);
			}
}

/* --- what a table of fields does not say -------------------------------------------------------------------------- */

static struct source *open_records(unsigned version, uint16_t schema, const struct bytes_record *records, size_t count)
{
	struct buf file = BUF_INIT(FILE_MAX_BYTES);

	bytes_put_metadata(&file, version, schema, false);
	for (size_t i = 0; i < count; i++)
		bytes_put_record(&file, &records[i]);
	return bytes_open(&file, NULL);
}

static void test_quantity(void **state)
{
	(void)state;
	for (unsigned version = 1; version <= DBN_VERSION; version++) {
		struct bytes_record records[3];
		struct source *source;
		const struct statistics *stat;

		for (unsigned i = 0; i < 3; i++)
			records[i] = bytes_record(version, DBN_STATISTICS);
		bytes_set_number(&records[0], "quantity", version < 3 ? INT32_MAX : INT64_MAX);
		bytes_set_number(&records[1], "quantity", (uint64_t)-5);
		bytes_set_number(&records[2], "quantity", version < 3 ? INT32_MAX - 1 : INT32_MAX);
		source = open_records(version, 10, records, 3);
		stat = bytes_next(source, SOURCE_RECORD).record;
		assert_int_equal(stat->present & (1 << STATISTICS_QUANTITY), 0);
		assert_int_equal(stat->quantity, 0);
		stat = bytes_next(source, SOURCE_RECORD).record;
		assert_int_equal(stat->present, STATISTICS_PRESENT);
		assert_int_equal(stat->quantity, -5);
		stat = bytes_next(source, SOURCE_RECORD).record;
		assert_int_equal(stat->quantity, version < 3 ? INT32_MAX - 1 : INT32_MAX);
		source_freep(&source);
	}
}

/* 0 and undefined: the vendor did not say when. */
static void test_ts_event_not_said(void **state)
{
	static const uint64_t times[] = { 0, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct bytes_record stat = bytes_record(3, DBN_STATISTICS),
				    definition = bytes_record(2, DBN_DEFINITION);
		const struct statistics *got;
		const struct definition *defined;
		struct source *source;

		bytes_set(&stat, 8, times[i], 8);
		bytes_set_number(&stat, "ts_recv", FILES_NOON + 1);
		source = open_records(3, 10, &stat, 1);
		got = bytes_next(source, SOURCE_RECORD).record;
		assert_int_equal(got->present & (1 << STATISTICS_TS_EVENT), 0);
		assert_int_equal(got->ts_event, 0);
		assert_int_equal(got->ts_recv, FILES_NOON + 1);
		assert_true(str_eq(got->symbol, STR_LIT("AAPL"))); /* by the day of ts_recv */
		source_freep(&source);
		bytes_set(&definition, 8, times[i], 8);
		bytes_set_number(&definition, "ts_recv", FILES_NOON);
		source = open_records(2, 9, &definition, 1);
		defined = bytes_next(source, SOURCE_RECORD).record;
		assert_int_equal(defined->present & (1 << DEFINITION_TS_EVENT), 0);
		source_freep(&source);
	}
}

static void test_symbol_by_day(void **state)
{
	uint64_t midnight = (uint64_t)DAY(2024, 1, 2) * NS_PER_DAY;
	struct bytes_record trades[3] = { bytes_record(3, 0), bytes_record(3, 0), bytes_record(3, 0) };
	struct source *source;

	(void)state;
	bytes_set(&trades[0], 8, midnight - 1, 8); /* asked for by ts_recv, so this is of the 2nd */
	bytes_set_number(&trades[0], "ts_recv", midnight);
	bytes_set(&trades[1], 8, midnight, 8); /* clocks differ: the day of ts_event will do */
	bytes_set_number(&trades[1], "ts_recv", midnight - 1);
	bytes_set(&trades[2], 8, midnight - 2, 8);
	bytes_set_number(&trades[2], "ts_recv", midnight - 1);
	source = open_records(3, 4, trades, 3);
	assert_true(str_eq(bytes_next(source, SOURCE_RECORD).symbol, STR_LIT("AAPL")));
	assert_true(str_eq(bytes_next(source, SOURCE_RECORD).symbol, STR_LIT("AAPL")));
	assert_contains(bytes_next(source, SOURCE_REFUSED).message, "no symbol to instrument id 1 on 2024-01-01");
	source_freep(&source);
}

static void test_definition_symbol(void **state)
{
	struct bytes_record records[3] = { bytes_record(3, DBN_DEFINITION), bytes_record(3, DBN_DEFINITION),
					   bytes_record(3, DBN_DEFINITION) };
	struct source_item item;
	struct source *source;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		bytes_set_number(&records[i], "ts_recv", FILES_NOON);
	bytes_set_text(&records[0], "raw_symbol", "AAPL  250221C00250000");
	bytes_set_text(&records[1], "raw_symbol", "AAPL  250221C00250000");
	records[1].bytes[4] = records[2].bytes[4] = 9; /* not mapped */
	source = open_records(3, 9, records, 3);
	item = bytes_next(source, SOURCE_RECORD);
	assert_true(str_eq(item.symbol, STR_LIT("AAPL")));
	assert_true(str_eq(((struct definition *)item.record)->raw_symbol, STR_LIT("AAPL  250221C00250000")));
	item = bytes_next(source, SOURCE_RECORD);
	assert_true(str_eq(item.symbol, STR_LIT("AAPL  250221C00250000")));
	assert_contains(bytes_next(source, SOURCE_REFUSED).message, "and it has none itself");
	source_freep(&source);
}

/* Versions that know no legs and a definition without one say the same. */
static void test_definition_legs(void **state)
{
	struct bytes_record old = bytes_record(2, DBN_DEFINITION), none = bytes_record(3, DBN_DEFINITION),
			    leg = bytes_record(3, DBN_DEFINITION);
	struct definition from_old, from_none;
	const struct definition *from_leg;
	struct source *source;

	(void)state;
	bytes_set_number(&none, "leg_price", INT64_MAX);
	bytes_set_number(&none, "leg_delta", INT64_MAX);
	source = open_records(2, 9, &old, 1);
	from_old = *(struct definition *)bytes_next(source, SOURCE_RECORD).record;
	assert_int_equal(from_old.leg_raw_symbol.len, 0);
	assert_int_equal(from_old.present & (UINT64_C(1) << DEFINITION_LEG_INSTRUMENT_ID), 0);
	source_freep(&source);
	source = open_records(3, 9, &none, 1);
	from_none = *(struct definition *)bytes_next(source, SOURCE_RECORD).record;
	source_freep(&source);
	from_old.present &= ~((UINT64_C(1) << DEFINITION_TRADING_REFERENCE_PRICE) |
			      (UINT64_C(1) << DEFINITION_TRADING_REFERENCE_DATE) |
			      (UINT64_C(1) << DEFINITION_MD_SECURITY_TRADING_STATUS) |
			      (UINT64_C(1) << DEFINITION_SETTL_PRICE_TYPE)); /* gone in version 3 */
	assert_int_equal(from_old.present, from_none.present);
	bytes_set_number(&leg, "match_algorithm", ' ');
	bytes_set_number(&leg, "leg_count", 2);
	bytes_set_number(&leg, "leg_index", 1);
	source = open_records(3, 9, &leg, 1);
	from_leg = bytes_next(source, SOURCE_RECORD).record;
	assert_int_equal(from_leg->match_algorithm.len, 0);
	assert_int_equal(from_leg->leg_count, 2);
	assert_int_equal(from_leg->leg_index, 1);
	assert_true(from_leg->present >> DEFINITION_LEG_INSTRUMENT_ID & 1);
	assert_true(from_leg->present >> DEFINITION_LEG_RATIO_QTY_NUMERATOR & 1);
	source_freep(&source);
}

/* --- ties --------------------------------------------------------------------------------------------------------- */

static void expect_ties(uint16_t schema, const struct bytes_record *records, const int32_t *ties, size_t count)
{
	struct source *source = open_records(3, schema, records, count);

	for (size_t i = 0; i < count; i++) {
		struct source_item item = bytes_next(source, SOURCE_RECORD);
		const struct record_field *tie = record_field_find(item.type, STR_LIT("tie"));

		if (record_number(item.record, tie) != ties[i])
			fail_msg("record %zu: tie %jd, not %d", i, (intmax_t)record_number(item.record, tie), ties[i]);
	}
	bytes_next(source, SOURCE_END);
	source_freep(&source);
}

static void test_ties(void **state)
{
	const uint64_t changes[][3] = {
		/* field or offset, value, tie */
		{ 0, 0, 0 },
		{ 0, 0, 1 }, /* the same again */
		{ 2, 7, 0 },
		{ 8, FILES_NOON + 1, 0 },
		{ 44, 9, 0 }, /* publisher, ts_event, sequence */
		{ 16, 5, 2 }, /* a price is no part of the key */
		{ 8, FILES_NOON + 1, 1 },
		{ 32, FILES_NOON + 5, 0 }, /* ts_recv goes on */
		{ 32, FILES_NOON + 5, 1 },
	};
	struct bytes_record trades[ARRAY_LEN(changes)];
	int32_t ties[ARRAY_LEN(changes)];

	(void)state;
	for (unsigned schema = 3; schema <= 4; schema++) {
		for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
			trades[i] = bytes_record(3, schema == 3 ? DBN_MBP_1 : DBN_TRADE);
			bytes_set_number(&trades[i], "ts_recv", FILES_NOON + 2);
			if (changes[i][0] > 0)
				bytes_set(&trades[i], (unsigned)changes[i][0], changes[i][1],
					  changes[i][0] == 2    ? 2
					  : changes[i][0] == 44 ? 4
								: 8);
			ties[i] = (int32_t)changes[i][2];
		}
		expect_ties((uint16_t)schema, trades, ties, ARRAY_LEN(changes));
	}
}

static void test_ties_of_statistics(void **state)
{
	struct bytes_record stats[5];
	const int32_t ties[] = { 0, 0, 0, 1, 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stats); i++) {
		stats[i] = bytes_record(3, DBN_STATISTICS);
		bytes_set_number(&stats[i], "ts_recv", FILES_NOON);
	}
	bytes_set_number(&stats[1], "stat_type", 3);
	bytes_set_number(&stats[2], "channel_id", 3);
	bytes_set_number(&stats[4], "stat_type", 3);
	expect_ties(10, stats, ties, ARRAY_LEN(stats));
}

/* --- live captures ------------------------------------------------------------------------------------------------ */

static struct bytes_record mapping(unsigned version, uint8_t id, const char *in, const char *out)
{
	struct bytes_record record = bytes_record(version, DBN_SYMBOL_MAPPING);

	record.bytes[4] = id;
	bytes_set_text(&record, "stype_in_symbol", in);
	bytes_set_text(&record, "stype_out_symbol", out);
	return record;
}

static void test_live(void **state)
{
	static const char *const symbols[] = { "ES.FUT", "ESH4", "ESM4" };

	(void)state;
	for (unsigned version = 1; version <= DBN_VERSION; version++) {
		struct bytes_record trade = bytes_record(version, DBN_TRADE);
		struct bytes_record records[] = {
			trade, mapping(version, 7, "ES.FUT", "17"),   trade, mapping(version, 7, "ES.FUT", "ESH4"),
			trade, mapping(version, 7, "ES.FUT", "ESM4"), trade,
		};
		struct source *source;

		for (size_t i = 0; i < ARRAY_LEN(records); i++)
			records[i].bytes[4] = 7;
		source = open_records(version, MIXED, records, ARRAY_LEN(records));
		assert_contains(bytes_next(source, SOURCE_REFUSED).message, "no symbol to instrument id 7");
		for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
			assert_string_equal(bytes_next(source, SOURCE_SKIPPED).schema, "symbol_mapping");
			assert_true(str_eq(bytes_next(source, SOURCE_RECORD).symbol, str_of(symbols[i])));
		}
		source_freep(&source);
	}
}

/* Every type that is loaded, in one file; of the rest it is said that it is there. */
static void test_mixed(void **state)
{
	struct buf file = BUF_INIT(FILE_MAX_BYTES);
	struct source *source;

	(void)state;
	bytes_put_metadata(&file, 3, MIXED, false);
	for (unsigned rtype = 0; rtype < 256; rtype++)
		if (dbn_type_of((uint8_t)rtype)) {
			struct bytes_record record = bytes_record(3, (uint8_t)rtype);

			bytes_put_record(&file, &record);
		}
	source = bytes_open(&file, NULL);
	for (unsigned rtype = 0; rtype < 256; rtype++) {
		const struct record_type *type = NULL;
		struct source_item item;

		if (!dbn_type_of((uint8_t)rtype))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(loads); i++)
			if (loads[i].rtype == rtype && rtype != DBN_MBP_1)
				type = loads[i].type;
		item = bytes_next(source, type ? SOURCE_RECORD : SOURCE_SKIPPED);
		assert_ptr_equal(item.type, type);
		assert_string_equal(item.schema, dbn_type_of((uint8_t)rtype)->name);
	}
	bytes_next(source, SOURCE_END);
	source_freep(&source);
}

static void test_one_schema_of_mixed(void **state)
{
	static const char *const refused[] = { "mbo", "tbbo", "mixed", "ohlcv" };
	struct bytes_record trade = bytes_record(3, DBN_TRADE), stat = bytes_record(3, DBN_STATISTICS);
	struct buf file = BUF_INIT(FILE_MAX_BYTES);
	struct source *source;

	(void)state;
	bytes_put_metadata(&file, 3, MIXED, false);
	bytes_put_record(&file, &trade);
	bytes_put_record(&file, &stat);
	source = bytes_open(&file, "statistics");
	bytes_next(source, SOURCE_SKIPPED);
	bytes_next(source, SOURCE_RECORD);
	source_freep(&source);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct fetch_task task = { .source = (char *)"file",
					   .path = (char *)files_path("bytes.dbn"),
					   .schema = (char *)refused[i] };
		struct err err = ERR_INIT;

		assert_int_equal(file_source_open(&source, &task, &err), -1);
		assert_int_equal(err.kind, ERR_RECORD);
		assert_contains(err.text, "cannot be loaded from a file of mixed schemas");
	}
}

/* --- what is wrong is named, and the rest goes on ----------------------------------------------------------------- */

static void expect_refused(uint16_t schema, struct bytes_record bad, const char *part)
{
	uint8_t rtype = schema == 4 ? DBN_TRADE : schema == 10 ? DBN_STATISTICS : DBN_DEFINITION;
	struct bytes_record records[3] = { bytes_record(3, rtype), bad, bytes_record(3, rtype) };
	struct source *source = open_records(3, schema, records, 3);
	struct source_item item;

	bytes_next(source, SOURCE_RECORD);
	item = bytes_next(source, SOURCE_REFUSED);
	assert_contains(item.message, part);
	assert_contains(item.message, "bytes.dbn: record 2 at byte offset ");
	assert_int_equal(item.bytes.len, bad.len);
	bytes_next(source, SOURCE_RECORD);
	bytes_next(source, SOURCE_END);
	source_freep(&source);
}

static struct bytes_record with_number(uint8_t rtype, const char *name, uint64_t value)
{
	struct bytes_record record = bytes_record(3, rtype);

	bytes_set_number(&record, name, value);
	return record;
}

static struct bytes_record with_text(uint8_t rtype, const char *name, const char *text)
{
	struct bytes_record record = bytes_record(3, rtype);

	bytes_set_text(&record, name, text);
	return record;
}

static struct bytes_record with_length(uint8_t rtype, uint32_t bytes)
{
	struct bytes_record record = bytes_record(3, DBN_TRADE);

	record.bytes[0] = (uint8_t)(bytes / 4);
	record.bytes[1] = rtype;
	record.len = bytes;
	return record;
}

static void test_refused(void **state)
{
	(void)state;
	expect_refused(4, with_length(DBN_TRADE, 52), "52 bytes, trades has 48");
	expect_refused(4, with_length(DBN_TRADE, 44), "44 bytes, trades has 48");
	expect_refused(4, with_length(DBN_TRADE, 16), "16 bytes, trades has 48");
	expect_refused(10, bytes_record(1, DBN_STATISTICS), "64 bytes, statistics has 80");
	expect_refused(4, with_length(0x99, 48), "record type 0x99 is not known");
	expect_refused(4, with_length(DBN_SYMBOL_MAPPING, 80), "80 bytes, symbol_mapping has 176");
	expect_refused(4, with_number(DBN_TRADE, "ts_recv", UINT64_MAX), "ts_recv 18446744073709551615 is undefined");
	expect_refused(4, with_number(DBN_TRADE, "ts_recv", UINT64_C(1) << 63), "is out of range");
	expect_refused(4, with_number(DBN_TRADE, "side", 0xE9), "side is no character of ASCII");
	expect_refused(4, with_number(DBN_TRADE, "action", 0x80), "action is no character of ASCII");
	expect_refused(10, with_number(DBN_STATISTICS, "ts_ref", UINT64_C(1) << 63), "ts_ref 9223372036854775808 is");
	expect_refused(9, with_number(DBN_DEFINITION, "expiration", UINT64_C(1) << 63), "expiration 92233");
	expect_refused(9, with_number(DBN_DEFINITION, "leg_side", 0xE9), "leg_side is not UTF-8");
	expect_refused(9, with_text(DBN_DEFINITION, "asset", "\xC3("), "asset is not UTF-8");
	expect_refused(9, with_text(DBN_SYMBOL_MAPPING, "stype_out_symbol", "\xFF"), "the symbol is not UTF-8");
}

/* --- the vendor's files ------------------------------------------------------------------------------------------- */

static void test_live_sample(void **state)
{
	const char *samples = files_samples();
	struct fetch_task task = { .source = (char *)"file" };
	uint64_t kinds[SOURCE_END + 1] = { 0 };
	struct source *source = NULL;
	struct source_item item;
	struct err err = ERR_INIT;
	char path[1024];

	(void)state;
	snprintf(path, sizeof(path), "%s/databento-python-tests/LIVE/test_data.live.dbn.zst", samples);
	task.path = path;
	assert_int_equal(file_source_open(&source, &task, &err), 0);
	do {
		assert_int_equal(source_next(source, &item, &err), 0);
		kinds[item.kind]++;
		if (item.kind == SOURCE_RECORD)
			assert_true(item.symbol.len > 0);
	} while (item.kind != SOURCE_END);
	assert_int_equal(kinds[SOURCE_REFUSED], 0);
	assert_int_equal(kinds[SOURCE_RECORD], 17);
	assert_int_equal(kinds[SOURCE_SKIPPED], 29);
	source_freep(&source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_values),
		cmocka_unit_test(test_quantity),
		cmocka_unit_test(test_ts_event_not_said),
		cmocka_unit_test(test_symbol_by_day),
		cmocka_unit_test(test_definition_symbol),
		cmocka_unit_test(test_definition_legs),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_ties_of_statistics),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_one_schema_of_mixed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_live_sample),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
