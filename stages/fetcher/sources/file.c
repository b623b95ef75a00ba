/*
 * Source `file`: one DBN file is one task. Items are the file's records in
 * their order, so an unchanged file gives the same items each time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/fetcher/formats/dbn.h"
#include "stages/fetcher/sources/sources.h"

#define SUPPORTED "ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d, ohlcv-eod"

struct file_source {
	struct source base;
	char *path;
	struct dbn_reader *reader;
	uint8_t rtype; /* of the file's schema; records of others are skipped */
	struct str schema;
	struct ohlcv bar;
	char identity[96];
	struct err refusal; /* text of the last refused record */
};

/* A pipe or a device would block, or never be the same twice. */
static int check_regular(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return err_set(err, ERR_RECORD, "%s: not a regular file", path);
	return 0; /* what stat() has to say, dbn_open() says with a kind */
}

static int set_identity(struct file_source *self, struct err *err)
{
	struct stat st;

	if (fstat(dbn_fd(self->reader), &st) != 0)
		return err_set(err, ERR_RETRY, "%s: %s", self->path, strerror(errno));
	snprintf(self->identity, sizeof(self->identity), "%ju:%ju:%jd:%jd", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
		 (intmax_t)st.st_size, (intmax_t)(st.st_mtim.tv_sec * NS_PER_SECOND + st.st_mtim.tv_nsec));
	return 0;
}

/* What the task says about its data must be what the file says. */
static int check_wanted(const struct file_source *self, const char *what, const char *wanted, struct str found,
			struct err *err)
{
	if (!wanted || !*wanted || str_eq(str_of(wanted), found))
		return 0;
	return err_set(err, ERR_RECORD, "%s: the file's %s is %.*s, the task's is %s", self->path, what, STR_ARG(found),
		       wanted);
}

static int check_metadata(struct file_source *self, const struct fetch_task *task, struct err *err)
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

static void file_free(struct source *source)
{
	struct file_source *self = (struct file_source *)source;

	dbn_freep(&self->reader);
	free(self->path);
	free(self);
}

static int file_open(struct source **ret, const struct fetch_task *task, struct err *err)
{
	struct file_source *self;
	CLEANUP(source_freep) struct source *source = NULL;

	if (!task->path || !*task->path)
		return err_set(err, ERR_RECORD, "the task names no path");
	if (check_regular(task->path, err))
		return -1;
	self = mem_zalloc(1, sizeof(*self));
	source = &self->base;
	source->ops = &source_file_ops;
	self->path = mem_strdup(task->path);
	if (dbn_open(&self->reader, self->path, err) || set_identity(self, err) || check_metadata(self, task, err))
		return -1;
	*ret = STEAL(source);
	return 0;
}

static void put_price(struct ohlcv *bar, unsigned bit, int64_t *field, int64_t price)
{
	bool known = price != DBN_UNDEF_PRICE;

	*field = known ? price : 0;
	record_set_present(bar, bit, known);
}

static void fill_bar(struct file_source *self, const struct dbn_record *record, const struct dbn_ohlcv *in,
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
static int read_bar(struct file_source *self, const struct dbn_record *record, struct str symbol, struct dbn_ohlcv *ret,
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

static void refuse(struct file_source *self, const struct dbn_record *record, struct source_item *ret_item)
{
	err_wrap(&self->refusal, "record %" PRIu64 " at byte offset %" PRIu64, record->number, record->byte_offset);
	err_wrap(&self->refusal, "%s", self->path);
	ret_item->kind = SOURCE_REFUSED;
	ret_item->ts_event = record->ts_event > INT64_MAX ? 0 : (int64_t)record->ts_event;
	ret_item->bytes = record->bytes;
	ret_item->message = self->refusal.text;
}

static int file_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	struct file_source *self = (struct file_source *)source;
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

static const char *file_identity(const struct source *source)
{
	return ((const struct file_source *)source)->identity;
}

static int64_t file_input_bytes(const struct source *source)
{
	return dbn_input_bytes(((const struct file_source *)source)->reader);
}

const struct source_ops source_file_ops = {
	.name = "file",
	.open = file_open,
	.next = file_next,
	.identity = file_identity,
	.input_bytes = file_input_bytes,
	.free = file_free,
};
