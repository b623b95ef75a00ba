#include "tests/bench/parts/sample.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "stages/transformer/transform.h"

#define ROOM ((size_t)64 * 1024 * 1024)
#define SECOND INT64_C(1000000000)
#define PRICE INT64_C(1000000000) /* 1 */
#define FIRST INT64_C(1710424800000000000)
#define FIRST_DAY 19000

struct sample samples[DATA_TYPES];
unsigned sample_count;

static struct buf encoded = BUF_INIT(ROOM), rows = BUF_INIT(ROOM);

void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "parts: %s\n", what);
	exit(EXIT_FAILURE);
}

/* --- raw records ------------------------------------------------------------------------------------------------------- */

/* Any value that the type of the field takes; what must make sense is set by name afterwards. */
static void fill_field(const struct record_field *field, void *record, unsigned i)
{
	static const char *const words[] = { "USD", "XNAS", "Y", "", "OCASPS", "Eq" };
	void *at = (char *)record + field->offset;

	if (field->nullable)
		record_set_present(record, field->bit, true);
	if (field->type == FIELD_STRING)
		*(struct str *)at = str_of(words[(i + field->offset) % 6]);
	else if (field->type == FIELD_BOOL)
		*(bool *)at = i % 2;
	else if (field->type == FIELD_INT)
		*(int32_t *)at = field->logical == LOGICAL_DATE ? FIRST_DAY + (int32_t)i % 300 : (int32_t)i % 200;
	else if (field->type == FIELD_DECIMAL)
		*(int64_t *)at = (100 + i % 50) * PRICE + i * 10000;
	else
		*(int64_t *)at = field->logical == LOGICAL_TIMESTAMP_NANOS ? FIRST + i * SECOND : 1000 + i;
}

static void set_text(const struct record_type *type, void *record, const char *name, const char *text)
{
	const struct record_field *field = record_field_find(type, str_of(name));

	if (field)
		*(struct str *)((char *)record + field->offset) = str_of(text);
}

static void set_number(const struct record_type *type, void *record, const char *name, int64_t number)
{
	const struct record_field *field = record_field_find(type, str_of(name));

	if (field && field->type == FIELD_INT)
		*(int32_t *)((char *)record + field->offset) = (int32_t)number;
	else if (field)
		*(int64_t *)((char *)record + field->offset) = number;
}

/* A day of minutes of eight shares, and a price that moves. */
static void make_bar(struct ohlcv *bar, unsigned i)
{
	int64_t price = INT64_C(187150000000) + (i * 7919 % 5000) * 10000000;

	bar->ts_event = FIRST + i / 8 * 60 * SECOND;
	bar->open = price;
	bar->high = price + 20000000;
	bar->low = price - 10000000;
	bar->close = price + 10000000;
}

static void make_raw(const struct data_type *type, void *record, unsigned i)
{
	static const char *const symbols[] = { "AAPL", "MSFT", "ESH4", "BRK.B", "SPY", "GOOGL", "NVDA", "TSLA" };
	static const char *const small[] = { "flags", "volume_exponent", "size_exponent", "quantity_exponent",
					     "tie",   "depth",           "leg_count",     "leg_index" };

	for (unsigned f = 0; f < type->raw->field_count; f++)
		fill_field(&type->raw->fields[f], record, i);
	set_number(type->raw, record, "attempt", ATTEMPT_MIN + (INT64_C(1700000000000) << 20));
	set_number(type->raw, record, "ordinal", i + 1);
	set_number(type->raw, record, "as_of", INT64_C(1710460800000000000));
	set_text(type->raw, record, "symbol", symbols[i % 8]);
	set_text(type->raw, record, "schema", type->raw == &ohlcv_type ? "ohlcv-1m" : type->name);
	set_text(type->raw, record, "dataset", "XNAS.ITCH");
	set_number(type->raw, record, "publisher_id", 2);
	for (unsigned f = 0; f < sizeof(small) / sizeof(*small); f++)
		set_number(type->raw, record, small[f], 0);
	set_text(type->raw, record, "side", i % 3 ? "A" : "B");
	set_text(type->raw, record, "action", "T");
	set_text(type->raw, record, "output_symbol", "15144");
	set_number(type->raw, record, "stat_type", 3);
	set_number(type->raw, record, "update_action", 1);
	set_number(type->raw, record, "d1", FIRST_DAY + 400);
	if (type->raw == &ohlcv_type)
		make_bar(record, i);
}

/* --- messages and rows ------------------------------------------------------------------------------------------------- */

/* Appends a message, `to` its place among the others. */
static void encode(const struct record_type *type, const void *record, struct buf *out, struct str *to)
{
	size_t at = out->len;

	record_encode(type, record, out);
	need(!out->overflow, "there is no room for the messages");
	*to = (struct str){ (const char *)at, (uint32_t)(out->len - at) };
}

/* The buffer has stopped growing: places become addresses. */
static void settle(struct str *messages, const struct buf *in)
{
	for (unsigned i = 0; i < sample_count; i++)
		messages[i].data = (const char *)in->data + (uintptr_t)messages[i].data;
}

/* Clean records are read back from messages, so that their strings live as long as those. */
static void make_clean(struct transform *transform, enum data_type_id id, void *scratch, struct str *messages)
{
	const struct data_type *type = samples[id].type;
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < sample_count; i++) {
		need(transform_record(transform, id, sample_raw(id, i), scratch, &err) == 0, err.text);
		encode(type->clean, scratch, &rows, &messages[i]);
	}
}

static void open_type(struct transform *transform, enum data_type_id id, struct str *clean_messages)
{
	const struct data_type *type = samples[id].type = &data_types[id];
	void *scratch = mem_zalloc(1, type->clean->size);

	samples[id].raw = mem_zalloc(sample_count, type->raw->size);
	samples[id].clean = mem_zalloc(sample_count, type->clean->size);
	for (unsigned i = 0; i < sample_count; i++) {
		make_raw(type, sample_raw(id, i), i);
		encode(type->raw, sample_raw(id, i), &encoded, &samples[id].messages[i]);
	}
	make_clean(transform, id, scratch, clean_messages);
	free(scratch);
}

void samples_open(unsigned count)
{
	static struct str clean_messages[DATA_TYPES][SAMPLES_MAX];
	struct transform *transform;
	struct err err = ERR_INIT;

	sample_count = count;
	need(transform_open(&transform, &err) == 0, err.text);
	for (unsigned id = 0; id < DATA_TYPES; id++)
		open_type(transform, (enum data_type_id)id, clean_messages[id]);
	transform_freep(&transform);
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		settle(samples[id].messages, &encoded);
		settle(clean_messages[id], &rows);
		for (unsigned i = 0; i < sample_count; i++)
			need(record_decode(samples[id].type->clean, sample_clean((enum data_type_id)id, i),
					   clean_messages[id][i], &err) == 0,
			     err.text);
	}
}
