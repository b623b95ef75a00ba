#include "ops/simulator/generate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "ops/simulator/dbn_write.h"

#define BATCH_BARS 1024
#define ID_TEXT_MAX 11 /* bytes with NUL */

/* The bar that was read ahead belongs to the next file. */
struct generator {
	const struct generate_options *options;
	struct generate_summary *summary;
	struct bars *bars;
	struct bar next;
	bool more;
};

static void generator_release(struct generator *g)
{
	bars_freep(&g->bars);
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

static void map_day(struct directory *d, const struct bars *bars, uint32_t symbol, int32_t day)
{
	uint32_t i = d->metadata.interval_count++;

	snprintf(d->id_texts[i], ID_TEXT_MAX, "%" PRIu32, bars_instrument_id(bars, symbol, day));
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
		map_day(d, g->bars, symbol, bars_past_day());
	for (uint32_t session = first; session < end; session++)
		map_day(d, g->bars, symbol, bars_session_day(g->bars, session));
	if (g->options->bars.broken > 0)
		map_day(d, g->bars, symbol, bars_future_day());
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
		.start = (uint64_t)(bars_session_day(g->bars, first) * NS_PER_DAY),
		.end = (uint64_t)((bars_session_day(g->bars, end - 1) + 1) * NS_PER_DAY),
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

/* --- bars -------------------------------------------------------------------------------------------------------- */

static void count_bar(struct generate_summary *summary, const struct bar *bar)
{
	int64_t ts = (int64_t)bar->ts_event;

	summary->bars++;
	if (bar->broken != BROKEN_NOT)
		summary->broken[bar->broken]++;
	if (bar->broken == BROKEN_TIME_PAST || bar->broken == BROKEN_TIME_FUTURE)
		return;
	if (summary->first == 0 || ts < summary->first)
		summary->first = ts;
	if (ts > summary->last)
		summary->last = ts;
}

static void put_bar(const struct generator *g, uint8_t *to)
{
	const struct bar *bar = &g->next;
	struct dbn_record header = {
		.rtype = dbn_ohlcv_rtype(g->options->bars.schema),
		.publisher_id = g->options->bars.publisher_id,
		.instrument_id = bar->instrument_id,
		.ts_event = bar->ts_event,
	};
	struct dbn_ohlcv body = { bar->open, bar->high, bar->low, bar->close, bar->volume };

	dbn_put_ohlcv(to, &header, &body);
}

/* The bars of the sessions before `end`. */
static int write_bars(struct generator *g, struct dbn_writer *writer, uint32_t end, uint64_t *ret_bars, struct err *err)
{
	uint8_t batch[BATCH_BARS * DBN_OHLCV_BYTES];
	size_t n = 0;

	for (; g->more && g->next.session < end; g->more = bars_next(g->bars, &g->next)) {
		put_bar(g, batch + n * DBN_OHLCV_BYTES);
		count_bar(g->summary, &g->next);
		++*ret_bars;
		if (++n < BATCH_BARS)
			continue;
		if (dbn_writer_put(writer, batch, sizeof(batch), err))
			return -1;
		n = 0;
	}
	return dbn_writer_put(writer, batch, n * DBN_OHLCV_BYTES, err);
}

static int write_file(struct generator *g, uint32_t index, struct err *err)
{
	CLEANUP(directory_release) struct directory directory = { 0 };
	CLEANUP(dbn_writer_freep) struct dbn_writer *writer = NULL;
	struct generated_file *file = &g->summary->files[index];
	uint64_t sessions = bars_sessions(g->bars), files = g->options->files;
	uint32_t first = (uint32_t)(sessions * index / files), end = (uint32_t)(sessions * (index + 1) / files);

	if (make_directory(&directory, g, first, end, err) ||
	    dbn_writer_open(&writer, file->path, &directory.metadata, err) ||
	    write_bars(g, writer, end, &file->bars, err) || dbn_writer_close(&writer, &file->bytes, err))
		return -1;
	g->summary->bytes += file->bytes;
	return 0;
}

static int check_options(const struct generate_options *options, const struct bars *bars, struct err *err)
{
	if (strlen(options->dataset) >= DBN_DATASET_BYTES)
		return err_set(err, ERR_FATAL, "dataset '%s' is longer than %d bytes", options->dataset,
			       DBN_DATASET_BYTES - 1);
	if (options->files == 0 || options->files > bars_sessions(bars))
		return err_set(err, ERR_FATAL,
			       "%" PRIu32 " files of %" PRIu32 " days: at least one day for each is needed",
			       options->files, bars_sessions(bars));
	return 0;
}

int generate(const struct generate_options *options, struct generate_summary *ret, struct err *err)
{
	CLEANUP(generate_summary_release) struct generate_summary summary = { 0 };
	CLEANUP(generator_release) struct generator g = { .options = options, .summary = &summary };

	if (bars_new(&g.bars, &options->bars, err) || check_options(options, g.bars, err))
		return -1;
	summary.files = mem_zalloc(options->files, sizeof(*summary.files));
	summary.file_count = options->files;
	for (uint32_t i = 0; i < options->files; i++)
		summary.files[i].path = file_path(options, i);
	g.more = bars_next(g.bars, &g.next);
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
