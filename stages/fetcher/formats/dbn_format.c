/*
 * DBN as a format: which of a file's records become records of ours. A file
 * of a schema that is not loaded is refused by name.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/fetcher/formats/dbn.h"
#include "stages/fetcher/formats/format.h"

#define SUPPORTED "ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d, ohlcv-eod"

struct dbn_format {
	struct format base;
	char *path;
	struct dbn_reader *reader;
	uint8_t rtype; /* of the file's schema; records of others are skipped */
	struct str schema;
	struct ohlcv bar;
	struct err refusal; /* text of the last refused record */
};

/* What the task says about its data must be what the file says. */
static int check_wanted(const struct dbn_format *self, const char *what, const char *wanted, struct str found,
			struct err *err)
{
	if (!wanted || !*wanted || str_eq(str_of(wanted), found))
		return 0;
	return err_set(err, ERR_RECORD, "%s: the file's %s is %.*s, the task's is %s", self->path, what, STR_ARG(found),
		       wanted);
}

static int check_metadata(struct dbn_format *self, const struct fetch_task *task, struct err *err)
{
	const struct dbn_metadata *metadata = dbn_metadata(self->reader);
	const char *schema = dbn_schema_name(metadata->schema);

	self->rtype = dbn_ohlcv_rtype(metadata->schema);
	if (self->rtype == 0 && schema)
		return err_set(err, ERR_RECORD, "%s: schema %s cannot be loaded from a file (supported: " SUPPORTED ")",
			       self->path, schema);
	if (self->rtype == 0)
		return err_set(err, ERR_RECORD,
			       "%s: schema %u%s cannot be loaded from a file (supported: " SUPPORTED ")", self->path,
			       metadata->schema, metadata->schema == UINT16_MAX ? " (mixed)" : "");
	self->schema = str_of(schema);
	if (check_wanted(self, "dataset", task->dataset, metadata->dataset, err))
		return -1;
	return check_wanted(self, "schema", task->schema, self->schema, err);
}

static void free_format(struct format *format)
{
	struct dbn_format *self = (struct dbn_format *)format;

	dbn_freep(&self->reader);
	free(self->path);
	free(self);
}

static int open_format(struct format **ret, const char *path, const struct fetch_task *task, struct err *err)
{
	struct dbn_format *self;
	CLEANUP(format_freep) struct format *format = NULL;

	self = mem_zalloc(1, sizeof(*self));
	format = &self->base;
	self->base.ops = &format_dbn_ops;
	self->path = mem_strdup(path);
	if (dbn_open(&self->reader, self->path, err) || check_metadata(self, task, err))
		return -1;
	*ret = STEAL(format);
	return 0;
}

static void put_price(struct ohlcv *bar, unsigned bit, int64_t *field, int64_t price)
{
	bool known = price != DBN_UNDEF_PRICE;

	*field = known ? price : 0;
	record_set_present(bar, bit, known);
}

static void fill_bar(struct dbn_format *self, const struct dbn_record *record, const struct dbn_ohlcv *in,
		     struct str symbol)
{
	struct ohlcv *bar = &self->bar;

	*bar = (struct ohlcv){
		.present = OHLCV_PRESENT,
		.symbol = symbol,
		.schema = self->schema,
		.dataset = dbn_metadata(self->reader)->dataset,
		.publisher_id = record->publisher_id,
		.instrument_id = record->instrument_id,
		.ts_event = (int64_t)record->ts_event,
		.volume = (int64_t)in->volume,
	};
	put_price(bar, OHLCV_OPEN, &bar->open, in->open);
	put_price(bar, OHLCV_HIGH, &bar->high, in->high);
	put_price(bar, OHLCV_LOW, &bar->low, in->low);
	put_price(bar, OHLCV_CLOSE, &bar->close, in->close);
}

/* 0, or -1 with the reason why the record cannot become a bar. */
static int read_bar(struct dbn_format *self, const struct dbn_record *record, struct str symbol, struct dbn_ohlcv *ret,
		    struct err *why)
{
	char day[CLOCK_TEXT_MAX];

	if (!dbn_ohlcv(self->reader, record, ret))
		return err_set(why, ERR_RECORD, "%u bytes, %.*s has %d", record->bytes.len, STR_ARG(self->schema),
			       DBN_OHLCV_BYTES + (dbn_metadata(self->reader)->ts_out ? DBN_TS_OUT_BYTES : 0));
	if (record->ts_event > INT64_MAX)
		return err_set(why, ERR_RECORD, "ts_event %" PRIu64 " is %s", record->ts_event,
			       record->ts_event == DBN_UNDEF_TIMESTAMP ? "undefined" : "out of range");
	if (ret->volume > INT64_MAX)
		return err_set(why, ERR_RECORD, "volume %" PRIu64 " does not fit 63 bits", ret->volume);
	if (symbol.len > 0)
		return 0;
	clock_format_date(clock_day_of((int64_t)record->ts_event), day);
	return err_set(why, ERR_RECORD, "the metadata maps no symbol to instrument id %" PRIu32 " on %s",
		       record->instrument_id, day);
}

static void refuse(struct dbn_format *self, const struct dbn_record *record, struct source_item *ret_item)
{
	err_wrap(&self->refusal, "record %" PRIu64 " at byte offset %" PRIu64, record->number, record->byte_offset);
	err_wrap(&self->refusal, "%s", self->path);
	ret_item->kind = SOURCE_REFUSED;
	ret_item->ts_event = record->ts_event > INT64_MAX ? 0 : (int64_t)record->ts_event;
	ret_item->bytes = record->bytes;
	ret_item->message = self->refusal.text;
}

static int next_item(struct format *format, struct source_item *ret_item, struct err *err)
{
	struct dbn_format *self = (struct dbn_format *)format;
	struct dbn_record record;
	struct dbn_ohlcv bar;
	int got = dbn_next(self->reader, &record, err);

	if (got < 0)
		return -1;
	*ret_item = (struct source_item){ .kind = SOURCE_END, .schema = self->schema.data };
	if (got == 0)
		return 0;
	ret_item->kind = SOURCE_SKIPPED;
	if (record.rtype != self->rtype)
		return 0;
	ret_item->symbol = dbn_symbol(self->reader, record.instrument_id, record.ts_event);
	if (read_bar(self, &record, ret_item->symbol, &bar, &self->refusal)) {
		refuse(self, &record, ret_item);
		return 0;
	}
	fill_bar(self, &record, &bar, ret_item->symbol);
	ret_item->kind = SOURCE_RECORD;
	ret_item->type = &ohlcv_type;
	ret_item->record = &self->bar;
	ret_item->lineage = (struct lineage *)&self->bar.attempt;
	ret_item->ts_event = self->bar.ts_event;
	return 0;
}

static int get_fd(const struct format *format)
{
	return dbn_fd(((const struct dbn_format *)format)->reader);
}

static int64_t get_input_bytes(const struct format *format)
{
	return dbn_input_bytes(((const struct dbn_format *)format)->reader);
}

const struct format_ops format_dbn_ops = {
	.name = "dbn",
	.open = open_format,
	.next = next_item,
	.fd = get_fd,
	.input_bytes = get_input_bytes,
	.free = free_format,
};
