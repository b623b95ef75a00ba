#include "ops/simulator/generate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "ops/simulator/dbn_write.h"
#include "ops/simulator/records/layout.h"
#include "ops/simulator/ticks.h"

#define BATCH_BYTES (64 * 1024)
#define RECORD_MAX 520
#define ID_TEXT_MAX 11 /* bytes with NUL */

/* Bars or ticks, never both. */
struct generator {
	const struct generate_options *options;
	struct generate_summary *summary;
	struct bars *bars;
	struct ticks *ticks;
	const struct days *days;
	const struct layout *layout;
	uint64_t records; /* in all */
};

static void generator_release(struct generator *g)
{
	bars_freep(&g->bars);
	ticks_freep(&g->ticks);
}

static int open_ticks(struct generator *g, struct err *err)
{
	const struct bars_options *o = &g->options->bars;
	struct ticks_options options = { o->schema, o->bars, o->symbols, o->start_day, o->seed, o->publisher_id };

	if (o->broken > 0)
		return err_set(err, ERR_FATAL, "only bars are broken on purpose");
	if (ticks_new(&g->ticks, &options, err))
		return -1;
	g->days = ticks_days(g->ticks);
	g->layout = layout_find(o->schema);
	return 0;
}

static int open_bars(struct generator *g, struct err *err)
{
	if (bars_new(&g->bars, &g->options->bars, err))
		return -1;
	g->days = bars_days(g->bars);
	return 0;
}

static int generator_open(struct generator *g, struct err *err)
{
	g->records = g->options->bars.bars;
	return ticks_make(g->options->bars.schema) ? open_ticks(g, err) : open_bars(g, err);
}

/* --- names ------------------------------------------------------------------------------------------------------- */

/* Where a number goes into a file's name: before .dbn, else before the last dot, else at the end. */
static size_t number_place(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	const char *dot = strstr(base, ".dbn");

	if (!dot)
		dot = strrchr(base, '.');
	return dot ? (size_t)(dot - path) : strlen(path);
}

static char *file_path(const struct generate_options *options, uint32_t index)
{
	size_t place = number_place(options->path);
	int digits = snprintf(NULL, 0, "%" PRIu32, options->files);

	if (options->files == 1)
		return mem_strdup(options->path);
	return mem_printf("%.*s-%0*" PRIu32 "%s", (int)place, options->path, digits, index + 1, options->path + place);
}

/* --- metadata ---------------------------------------------------------------------------------------------------- */

/* Symbols and the intervals of their ids; owns everything the metadata's slices point into. */
struct directory {
	struct dbn_metadata metadata;
	char (*symbol_texts)[BARS_SYMBOL_MAX];
	char (*id_texts)[ID_TEXT_MAX];
};

static void directory_release(struct directory *d)
{
	free(d->metadata.symbols);
	free(d->metadata.mappings);
	free(d->metadata.intervals);
	free(d->symbol_texts);
	free(d->id_texts);
}

static void map_day(struct directory *d, const struct days *days, uint32_t symbol, int32_t day)
{
	uint32_t i = d->metadata.interval_count++;

	snprintf(d->id_texts[i], ID_TEXT_MAX, "%" PRIu32, days_instrument_id(days, symbol, day));
	d->metadata.intervals[i] = (struct dbn_interval){ day, day + 1, str_of(d->id_texts[i]) };
}

static void map_symbol(struct directory *d, const struct generator *g, uint32_t symbol, uint32_t first, uint32_t end)
{
	struct dbn_metadata *m = &d->metadata;
	struct dbn_mapping *mapping = &m->mappings[symbol];
	uint32_t before = m->interval_count;

	bars_symbol(symbol, d->symbol_texts[symbol]);
	m->symbols[symbol] = str_of(d->symbol_texts[symbol]);
	mapping->raw_symbol = m->symbols[symbol];
	mapping->intervals = m->intervals + before;
	if (g->options->bars.broken > 0)
		map_day(d, g->days, symbol, days_past());
	for (uint32_t session = first; session < end; session++)
		map_day(d, g->days, symbol, g->days->list[session]);
	if (g->options->bars.broken > 0)
		map_day(d, g->days, symbol, days_future());
	mapping->interval_count = m->interval_count - before;
}

static int make_directory(struct directory *d, const struct generator *g, uint32_t first, uint32_t end, struct err *err)
{
	uint32_t symbols = g->options->bars.symbols;
	uint64_t intervals = (uint64_t)symbols * (end - first + 2);

	if (intervals * (8 + DBN_SYMBOL_BYTES) > DBN_METADATA_MAX)
		return err_set(err, ERR_FATAL,
			       "the symbols' ids of %" PRIu32
			       " days do not fit into a file's metadata: fewer symbols or "
			       "days, or more files",
			       end - first);
	d->symbol_texts = mem_zalloc(symbols, sizeof(*d->symbol_texts));
	d->id_texts = mem_zalloc(intervals, sizeof(*d->id_texts));
	d->metadata = (struct dbn_metadata){
		.dataset = str_of(g->options->dataset),
		.schema = g->options->bars.schema,
		.start = (uint64_t)(g->days->list[first] * NS_PER_DAY),
		.end = (uint64_t)((g->days->list[end - 1] + 1) * NS_PER_DAY),
		.stype_in = DBN_STYPE_RAW_SYMBOL,
		.stype_out = DBN_STYPE_INSTRUMENT_ID,
		.symbols = mem_zalloc(symbols, sizeof(*d->metadata.symbols)),
		.symbol_count = symbols,
		.mappings = mem_zalloc(symbols, sizeof(*d->metadata.mappings)),
		.mapping_count = symbols,
		.intervals = mem_zalloc(intervals, sizeof(*d->metadata.intervals)),
	};
	for (uint32_t i = 0; i < symbols; i++)
		map_symbol(d, g, i, first, end);
	return 0;
}

/* --- records ----------------------------------------------------------------------------------------------------- */

static void count_record(struct generate_summary *summary, int64_t ts)
{
	if (summary->first == 0 || ts < summary->first)
		summary->first = ts;
	if (ts > summary->last)
		summary->last = ts;
}

static void count_bar(struct generate_summary *summary, const struct bar *bar)
{
	if (bar->broken != BROKEN_NOT)
		summary->broken[bar->broken]++;
	if (bar->broken != BROKEN_TIME_PAST && bar->broken != BROKEN_TIME_FUTURE)
		count_record(summary, (int64_t)bar->ts_event);
}

static void put_bar(const struct generator *g, const struct bar *bar, struct buf *to)
{
	struct dbn_record header = {
		.rtype = dbn_ohlcv_rtype(g->options->bars.schema),
		.publisher_id = g->options->bars.publisher_id,
		.instrument_id = bar->instrument_id,
		.ts_event = bar->ts_event,
	};
	struct dbn_ohlcv body = { bar->open, bar->high, bar->low, bar->close, bar->volume };
	uint8_t bytes[DBN_OHLCV_BYTES];

	dbn_put_ohlcv(bytes, &header, &body);
	buf_put(to, bytes, sizeof(bytes));
}

static void put_next(struct generator *g, struct buf *to)
{
	struct record record;
	struct bar bar;

	if (g->bars && bars_next(g->bars, &bar)) {
		put_bar(g, &bar, to);
		count_bar(g->summary, &bar);
	} else if (g->ticks && ticks_next(g->ticks, &record)) {
		record_put_dbn(to, &record, g->layout, DBN_VERSION);
		count_record(g->summary, record.ts_event);
	}
}

static int write_records(struct generator *g, struct dbn_writer *writer, uint64_t records, struct err *err)
{
	CLEANUP(buf_release) struct buf batch = BUF_INIT(BATCH_BYTES + RECORD_MAX);

	for (uint64_t i = 0; i < records; i++) {
		put_next(g, &batch);
		if (batch.len < BATCH_BYTES)
			continue;
		if (dbn_writer_put(writer, batch.data, batch.len, err))
			return -1;
		buf_reset(&batch);
	}
	return dbn_writer_put(writer, batch.data, batch.len, err);
}

/* How many records are before a file: whole days, where there are enough of them. */
static uint64_t records_before(const struct generator *g, uint64_t index)
{
	uint64_t files = g->options->files, days = g->days->count, n;

	if (files > days)
		return (uint64_t)((__uint128_t)g->records * index / files);
	n = days * index / files * g->days->per_day;
	return n < g->records ? n : g->records;
}

static int write_file(struct generator *g, uint32_t index, struct err *err)
{
	CLEANUP(directory_release) struct directory directory = { 0 };
	CLEANUP(dbn_writer_freep) struct dbn_writer *writer = NULL;
	struct generated_file *file = &g->summary->files[index];
	uint64_t first = records_before(g, index), end = records_before(g, index + 1), per_day = g->days->per_day;

	if (make_directory(&directory, g, (uint32_t)(first / per_day), (uint32_t)((end - 1) / per_day + 1), err) ||
	    dbn_writer_open(&writer, file->path, &directory.metadata, err) ||
	    write_records(g, writer, end - first, err) || dbn_writer_close(&writer, &file->bytes, err))
		return -1;
	file->bars = end - first;
	g->summary->bars += file->bars;
	g->summary->bytes += file->bytes;
	return 0;
}

static int check_options(const struct generator *g, struct err *err)
{
	const struct generate_options *o = g->options;

	if (strlen(o->dataset) >= DBN_DATASET_BYTES)
		return err_set(err, ERR_FATAL, "dataset '%s' is longer than %d bytes", o->dataset,
			       DBN_DATASET_BYTES - 1);
	if (o->files == 0 || o->files > g->records)
		return err_set(err, ERR_FATAL,
			       "%" PRIu32 " files of %" PRIu64 " records: at least one for each is needed", o->files,
			       g->records);
	return 0;
}

int generate(const struct generate_options *options, struct generate_summary *ret, struct err *err)
{
	CLEANUP(generate_summary_release) struct generate_summary summary = { 0 };
	CLEANUP(generator_release) struct generator g = { .options = options, .summary = &summary };

	if (generator_open(&g, err) || check_options(&g, err))
		return -1;
	summary.files = mem_zalloc(options->files, sizeof(*summary.files));
	summary.file_count = options->files;
	for (uint32_t i = 0; i < options->files; i++)
		summary.files[i].path = file_path(options, i);
	for (uint32_t i = 0; i < options->files; i++)
		if (write_file(&g, i, err))
			return -1;
	*ret = summary;
	summary = (struct generate_summary){ 0 };
	return 0;
}

void generate_summary_release(struct generate_summary *summary)
{
	for (uint32_t i = 0; i < summary->file_count; i++)
		free(summary->files[i].path);
	free(summary->files);
	*summary = (struct generate_summary){ 0 };
}
