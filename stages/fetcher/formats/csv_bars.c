/*
 * Bars as plain comma-separated values: the task says which column is what.
 * Such a file names neither dataset nor schema, so the task does. A record
 * that cannot be read is refused; the last line of a file may lack its end.
 */
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/fetcher/formats/csv_plan.h"
#include "stages/fetcher/formats/format.h"

struct csv_bars {
	struct format base;
	struct csv csv;
	struct csv_plan plan;
	char *dataset, *schema;
	uint64_t records; /* without the header */
	struct ohlcv bar;
};

static void free_format(struct format *format)
{
	struct csv_bars *self = (struct csv_bars *)format;

	csv_release(&self->csv);
	csv_plan_release(&self->plan);
	free(self->dataset);
	free(self->schema);
	free(self);
}

static int read_header(struct csv_bars *self, struct err *err)
{
	int got;

	if (!self->plan.settings.header)
		return csv_plan_columns(&self->plan, NULL, err);
	got = csv_next(&self->csv, err);
	if (got < 0)
		return -1;
	if (got == 0)
		return err_set(err, ERR_RECORD, "there is no header: the file has no lines");
	return csv_plan_columns(&self->plan, &self->csv, err);
}

static int open_bars(struct csv_bars *self, const char *path, const struct fetch_task *task, struct err *err)
{
	if (text_lines_open(&self->csv.lines, path, err) || csv_plan_open(&self->plan, task, err))
		return -1;
	if (!task->dataset || !task->dataset[0])
		return err_set(err, ERR_RECORD, "the task names no dataset, and a CSV file does not either");
	if (!task->schema || strncmp(task->schema, "ohlcv-", 6) != 0)
		return err_set(err, ERR_RECORD, "the task's schema is '%s'; a plain CSV file holds bars: ohlcv-1m, …",
			       task->schema ? task->schema : "");
	self->dataset = mem_strdup(task->dataset);
	self->schema = mem_strdup(task->schema);
	self->csv.delimiter = self->plan.settings.delimiter;
	return read_header(self, err);
}

static int open_format(struct format **ret, const char *path, const struct fetch_task *task, struct err *err)
{
	struct csv_bars *self = mem_zalloc(1, sizeof(*self));
	CLEANUP(format_freep) struct format *format = &self->base;

	self->base.ops = &format_csv_bars_ops;
	self->csv = (struct csv)CSV_INIT;
	self->plan = (struct csv_plan)CSV_PLAN_INIT;
	if (open_bars(self, path, task, err))
		return err_wrap(err, "%s", path);
	*ret = STEAL(format);
	return 0;
}

/* --- a record ---------------------------------------------------------------------------------------------------------- */

static struct str field(const struct csv_bars *self, enum csv_column column)
{
	return self->csv.fields[self->plan.columns[column] - 1];
}

static int check_count(const struct csv_bars *self, struct err *why)
{
	unsigned count = self->csv.count;

	if (self->csv.fault)
		return err_set(why, ERR_RECORD, "%s", self->csv.fault);
	if (self->plan.exact && count != self->plan.exact)
		return err_set(why, ERR_RECORD, "%u fields, the header has %u", count, self->plan.exact);
	if (count < self->plan.least)
		return err_set(why, ERR_RECORD, "%u fields, at least %u are needed", count, self->plan.least);
	return 0;
}

static int read_symbol(const struct csv_bars *self, struct str *ret, struct err *why)
{
	char shown[STR_SHOWN_MAX];

	if (self->plan.settings.symbol_constant) {
		*ret = str_of(self->plan.settings.symbol_constant);
		return 0;
	}
	*ret = field(self, CSV_SYMBOL);
	if (ret->len > 0 && str_is_text(*ret))
		return 0;
	err_set(why, ERR_RECORD, ret->len > 0 ? "symbol '%s' is not UTF-8" : "symbol is empty%.0s",
		str_show(*ret, shown));
	*ret = (struct str){ "", 0 };
	return -1;
}

/* An empty one is null. */
static int read_price(struct csv_bars *self, enum csv_column column, unsigned bit, int64_t *ret, bool *ret_rounded,
		      struct err *why)
{
	struct str text = field(self, column);

	record_set_present(&self->bar, bit, text.len > 0);
	if (text.len == 0 || number_text_price(text, self->plan.settings.numbers, ret, ret_rounded, why) == 0)
		return 0;
	return err_wrap(why, "%s", csv_column_name(column));
}

static int read_volume(struct csv_bars *self, bool *ret_rounded, struct err *why)
{
	struct ohlcv *bar = &self->bar;

	if (self->plan.columns[CSV_VOLUME] == 0)
		return 0;
	if (field(self, CSV_VOLUME).len == 0)
		return err_set(why, ERR_RECORD, "volume is empty");
	if (number_text_quantity(field(self, CSV_VOLUME), self->plan.settings.numbers, &bar->volume,
				 &bar->volume_exponent, ret_rounded, why) == 0)
		return 0;
	return err_wrap(why, "volume");
}

static int read_bar(struct csv_bars *self, struct err *why)
{
	struct ohlcv *bar = &self->bar;
	bool rounded = false;

	*bar = (struct ohlcv){
		.present = OHLCV_PRESENT,
		.schema = str_of(self->schema),
		.dataset = str_of(self->dataset),
		.symbol = { "", 0 },
	};
	if (check_count(self, why) || read_symbol(self, &bar->symbol, why))
		return -1;
	if (time_text_parse(&self->plan.time, field(self, CSV_TIME), &bar->ts_event, why))
		return -1;
	if (read_price(self, CSV_OPEN, OHLCV_OPEN, &bar->open, &rounded, why) ||
	    read_price(self, CSV_HIGH, OHLCV_HIGH, &bar->high, &rounded, why) ||
	    read_price(self, CSV_LOW, OHLCV_LOW, &bar->low, &rounded, why) ||
	    read_price(self, CSV_CLOSE, OHLCV_CLOSE, &bar->close, &rounded, why) || read_volume(self, &rounded, why))
		return -1;
	bar->flags = rounded ? FLAG_ROUNDED : 0;
	return 0;
}

static int next_item(struct format *format, struct source_item *ret_item, struct err *err)
{
	struct csv_bars *self = (struct csv_bars *)format;
	struct text_lines *lines = &self->csv.lines;
	int got = csv_next(&self->csv, err);

	if (got < 0)
		return text_lines_fail(lines, self->records + 1, err);
	*ret_item = (struct source_item){ .kind = SOURCE_END, .schema = self->schema };
	if (got == 0)
		return 0;
	self->records++;
	got = read_bar(self, &lines->why);
	ret_item->symbol = self->bar.symbol;
	ret_item->ts_event = self->bar.ts_event;
	if (got) {
		text_lines_refuse(lines, self->records, ret_item);
		return 0;
	}
	ret_item->kind = SOURCE_RECORD;
	ret_item->type = &ohlcv_type;
	ret_item->record = &self->bar;
	ret_item->lineage = (struct lineage *)&self->bar.attempt;
	return 0;
}

static int get_fd(const struct format *format)
{
	return ((const struct csv_bars *)format)->csv.lines.stream.fd;
}

static int64_t get_input_bytes(const struct format *format)
{
	return byte_stream_input_bytes(&((const struct csv_bars *)format)->csv.lines.stream);
}

const struct format_ops format_csv_bars_ops = {
	.name = "csv",
	.open = open_format,
	.next = next_item,
	.fd = get_fd,
	.input_bytes = get_input_bytes,
	.free = free_format,
};
