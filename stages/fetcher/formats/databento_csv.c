/*
 * Databento's CSV: a header that names the fields, in any order. A column of
 * symbols is needed (the vendor's option map_symbols), but for definitions,
 * which name themselves. Each record of the vendor's has a line end, so a
 * last one without is cut.
 */
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "stages/fetcher/formats/csv.h"
#include "stages/fetcher/formats/databento_text.h"
#include "stages/fetcher/formats/format.h"

#define NO_FIELD (-1)
#define SYMBOL_FIELD (-2)

struct databento_csv {
	struct format base;
	struct csv csv;
	struct databento_text text;
	int16_t columns[CSV_FIELDS_MAX]; /* the field that it is, or one of the two above */
	unsigned column_count;
	int symbol; /* the column; -1: there is none */
	int rtype;  /* the column */
	uint64_t records;
	int pending; /* what reading the first record came to, before it was asked for */
	struct err pending_err;
	bool has_pending;
};

static void free_format(struct format *format)
{
	struct databento_csv *self = (struct databento_csv *)format;

	csv_release(&self->csv);
	databento_text_release(&self->text);
	free(self);
}

static bool has_column(const struct csv *csv, const char *name)
{
	for (unsigned i = 0; i < csv->count; i++)
		if (str_eq(csv->fields[i], str_of(name)))
			return true;
	return false;
}

/* Which records have such a column; the first that is there tells. */
static int tell_rtype(const struct csv *header, uint8_t *ret, struct err *err)
{
	static const struct {
		const char *column;
		uint8_t rtype;
	} signs[] = {
		{ "open", DBN_OHLCV_1M },   { "stat_type", DBN_STATISTICS }, { "raw_symbol", DBN_DEFINITION },
		{ "bid_px_00", DBN_MBP_1 }, { "ts_in_delta", DBN_TRADE },
	};

	for (unsigned i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (has_column(header, signs[i].column)) {
			*ret = signs[i].rtype;
			break;
		}
	if (*ret == 0 && !has_column(header, "ts_in_delta"))
		*ret = UINT8_MAX;
	if (*ret == UINT8_MAX || has_column(header, "order_id") || has_column(header, "bid_px_01"))
		return err_set(
			err, ERR_RECORD,
			"the header's columns are of no schema that can be loaded from a file (supported: " DBN_LOADED
			")");
	return 0;
}

static int map_column(struct databento_csv *self, unsigned i, bool *taken, struct err *err)
{
	struct str name = self->csv.fields[i];
	int field = databento_text_find(&self->text, name);

	self->columns[i] = (int16_t)field;
	if (str_eq(name, STR_LIT("symbol"))) {
		if (self->symbol >= 0)
			return err_set(err, ERR_RECORD, "column symbol stands twice in the header");
		self->symbol = (int)i;
		self->columns[i] = SYMBOL_FIELD;
	}
	if (field < 0)
		return 0;
	if (taken[field])
		return err_set(err, ERR_RECORD, "column %s stands twice in the header", self->text.fields[field].name);
	taken[field] = true;
	if (str_eq(name, STR_LIT("rtype")))
		self->rtype = (int)i;
	return 0;
}

static int map_columns(struct databento_csv *self, struct err *err)
{
	bool taken[DATABENTO_FIELDS_MAX] = { false };

	self->column_count = self->csv.count;
	for (unsigned i = 0; i < self->column_count; i++)
		if (map_column(self, i, taken, err))
			return -1;
	for (unsigned i = 0; i < self->text.field_count; i++)
		if (self->text.fields[i].required && !taken[i])
			return err_set(err, ERR_RECORD, "the header lacks the column %s", self->text.fields[i].name);
	if (self->symbol < 0 && self->text.rtype != DBN_DEFINITION)
		return err_set(err, ERR_RECORD, "the header lacks the column symbol: ask the vendor for map_symbols");
	return 0;
}

static int read_header(struct databento_csv *self, struct err *err)
{
	uint8_t rtype = 0;
	int got = csv_next(&self->csv, err);

	if (got < 0)
		return -1;
	if (got == 0)
		return err_set(err, ERR_RECORD, "there is no header: the file has no lines");
	if (self->csv.fault)
		return err_set(err, ERR_RECORD, "the header cannot be read: %s", self->csv.fault);
	if (tell_rtype(&self->csv, &rtype, err))
		return -1;
	/* What later versions do not have, the one before has. */
	databento_text_fields(&self->text, rtype, has_column(&self->csv, "trading_reference_price") ? 2 : DBN_VERSION);
	return map_columns(self, err);
}

static int check_count(const struct databento_csv *self, struct err *why)
{
	if (self->csv.fault)
		return err_set(why, ERR_RECORD, "%s", self->csv.fault);
	if (self->csv.count != self->column_count)
		return err_set(why, ERR_RECORD, "%u fields, the header has %u", self->csv.count, self->column_count);
	if (!self->csv.lines.complete)
		return err_set(why, ERR_RECORD, "it has no line end: cut short");
	return 0;
}

/* The next record, its rtype put; -1: the stream failed. */
static int advance(struct databento_csv *self, struct err *err)
{
	int got = csv_next(&self->csv, err);

	databento_text_begin(&self->text);
	if (got > 0)
		self->records++;
	return got;
}

/* The first record says what the file holds, where it can be read. */
static int peek(struct databento_csv *self, struct err *err)
{
	struct err why = ERR_INIT;

	self->has_pending = true;
	self->pending = advance(self, &self->pending_err);
	if (self->pending <= 0 || check_count(self, &why) ||
	    databento_text_put(&self->text, (unsigned)self->columns[self->rtype], self->csv.fields[self->rtype], &why))
		return 0;
	return databento_text_settle(&self->text, err);
}

static int open_csv(struct databento_csv *self, const char *path, const struct fetch_task *task, struct err *err)
{
	if (text_lines_open(&self->csv.lines, path, err) || databento_text_open(&self->text, task, err))
		return -1;
	return read_header(self, err) || peek(self, err) ? -1 : 0;
}

static int open_format(struct format **ret, const char *path, const struct fetch_task *task, struct err *err)
{
	struct databento_csv *self = mem_zalloc(1, sizeof(*self));
	CLEANUP(format_freep) struct format *format = &self->base;

	self->base.ops = &format_databento_csv_ops;
	self->csv = (struct csv)CSV_INIT;
	self->symbol = -1;
	if (open_csv(self, path, task, err))
		return err_wrap(err, "%s", path);
	*ret = STEAL(format);
	return 0;
}

/* --- records ----------------------------------------------------------------------------------------------------------- */

static struct str symbol_of(const struct databento_csv *self)
{
	if (self->symbol < 0 || self->csv.fault || self->csv.count != self->column_count)
		return (struct str){ "", 0 };
	return self->csv.fields[self->symbol];
}

static int read_record(struct databento_csv *self, struct source_item *ret_item, struct err *why)
{
	struct databento_text *text = &self->text;

	if (check_count(self, why))
		return -1;
	for (unsigned i = 0; i < self->column_count; i++)
		if (self->columns[i] >= 0 &&
		    databento_text_put(text, (unsigned)self->columns[i], self->csv.fields[i], why))
			return -1;
	if (!text->load && databento_text_settle(text, why))
		return -1;
	return databento_text_fill(text, symbol_of(self), ret_item, why);
}

static int next_item(struct format *format, struct source_item *ret_item, struct err *err)
{
	struct databento_csv *self = (struct databento_csv *)format;
	struct text_lines *lines = &self->csv.lines;
	int got = self->has_pending ? self->pending : advance(self, err);

	if (self->has_pending && got < 0)
		*err = self->pending_err;
	self->has_pending = false;
	if (got < 0)
		return text_lines_fail(lines, self->records + 1, err);
	*ret_item = (struct source_item){ .kind = SOURCE_END,
					  .schema = self->text.load ? dbn_schema_name(self->text.load->schema) : "" };
	if (got == 0)
		return 0;
	if (read_record(self, ret_item, &lines->why) == 0)
		return 0;
	if (ret_item->symbol.len == 0 && str_is_text(symbol_of(self)))
		ret_item->symbol = symbol_of(self);
	text_lines_refuse(lines, self->records, ret_item);
	return 0;
}

static int get_fd(const struct format *format)
{
	return ((const struct databento_csv *)format)->csv.lines.stream.fd;
}

static int64_t get_input_bytes(const struct format *format)
{
	return byte_stream_input_bytes(&((const struct databento_csv *)format)->csv.lines.stream);
}

const struct format_ops format_databento_csv_ops = {
	.name = "databento-csv",
	.open = open_format,
	.next = next_item,
	.fd = get_fd,
	.input_bytes = get_input_bytes,
	.free = free_format,
};
