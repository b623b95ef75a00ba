#include "ops/simulator/vendor/query.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "ops/simulator/vendor/moment.h"
#include "stages/fetcher/formats/dbn.h"

#define STYPES 13
#define MESSAGE_MAX (64 * 1024)

/* --- the parts --------------------------------------------------------------------------------------------------- */

static int refuse(struct answer *answer, const char *name, const char *fmt, const char *what)
{
	CLEANUP(buf_release) struct buf message = BUF_INIT(MESSAGE_MAX);

	buf_printf(&message, fmt, what ? what : "");
	answer_case(answer, 422, name, buf_text(&message), NULL);
	return -1;
}

const struct dataset *query_dataset(const struct request *request, struct answer *answer)
{
	const char *name = request_text(request, "dataset");
	const struct dataset *dataset = name ? dataset_find(str_of(name)) : NULL;

	if (!dataset)
		refuse(answer, "data_dataset_not_found", "There is no dataset '%s'.", name);
	return dataset;
}

int query_stype(const struct request *request, const char *name, uint8_t fallback, uint8_t *ret, struct answer *answer)
{
	const char *text = request_text(request, name);

	*ret = fallback;
	if (!text)
		return 0;
	for (*ret = 0; *ret < STYPES; ++*ret)
		if (dbn_stype_name(*ret) && strcmp(dbn_stype_name(*ret), text) == 0)
			return 0;
	return refuse(answer, "symbology_invalid_request", "There is no symbology type '%s'.", text);
}

static int read_schema(struct query *q, const struct request *request, struct answer *answer)
{
	const char *name = request_text(request, "schema");
	uint16_t schema = dbn_schema_number(str_of(name ? name : "trades"));

	if (schema == UINT16_MAX)
		return refuse(answer, "data_schema_invalid", "There is no schema '%s'.", name);
	if (!dataset_has_schema(q->dataset, schema))
		return refuse(answer, "data_schema_not_supported", "The dataset has no schema '%s'.", name);
	q->window.schema = schema_find(schema);
	q->layout = layout_find(schema);
	return 0;
}

static int refuse_window(const struct query *q, const char *name, const char *message, struct answer *answer)
{
	const struct market_options *market = &q->simulator->options.market;
	struct buf buf = BUF_INIT(4096);
	struct json_out json = JSON_OUT(&buf);
	const struct {
		const char *key;
		int64_t ns;
	} times[] = {
		{ "start", q->window.start },
		{ "end", q->window.end },
		{ "available_start", market->first_day * NS_PER_DAY },
		{ "available_end", market->end_day * NS_PER_DAY },
	};

	json_put_open(&json, '{');
	json_put_key(&json, "dataset");
	json_put_str(&json, str_of(q->dataset->name));
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		json_put_key(&json, times[i].key);
		json_put_time(&json, times[i].ns);
	}
	json_put_close(&json, '}');
	answer_case(answer, 422, name, message, buf_text(&buf));
	buf_release(&buf);
	return -1;
}

static int check_window(const struct query *q, struct answer *answer)
{
	const struct stream_window *w = &q->window;
	int64_t first = q->simulator->options.market.first_day * NS_PER_DAY;
	int64_t end = q->simulator->options.market.end_day * NS_PER_DAY;
	const struct {
		bool wrong;
		const char *name, *message;
	} rules[] = {
		{ w->start >= w->end, "data_time_range_start_on_or_after_end", "The start is on or after the end." },
		{ w->start < first, "data_start_before_available_start",
		  "The start is before the available start of the dataset." },
		{ w->start >= end, "data_start_after_available_end",
		  "The start is after the available end of the dataset." },
		{ w->end > end, "data_end_after_available_end", "The end is after the available end of the dataset." },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].wrong)
			return refuse_window(q, rules[i].name, rules[i].message, answer);
	return 0;
}

static int read_window(struct query *q, const struct request *request, struct answer *answer)
{
	const char *start = request_text(request, "start"), *end = request_text(request, "end");
	int64_t unused;

	if (!start || !moment_parse(start, &q->window.start, &q->window.end))
		return refuse(answer, "data_time_range_invalid", "'%s' is no start.", start);
	if (end && !moment_parse(end, &q->window.end, &unused))
		return refuse(answer, "data_time_range_invalid", "'%s' is no end.", end);
	if (!request_number(request, "limit", &q->window.limit))
		return refuse(answer, "data_limit_invalid", "'%s' is no limit.", request_text(request, "limit"));
	return check_window(q, answer);
}

static int read_encoding(struct query *q, const struct request *request, struct answer *answer)
{
	static const char *const names[] = { "dbn", "csv", "json" };
	const char *encoding = request_text(request, "encoding"), *compression = request_text(request, "compression");

	for (unsigned i = 0; encoding && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(encoding, names[i]) == 0) {
			q->encoding = (enum encoding)i;
			encoding = NULL;
		}
	if (encoding)
		return refuse(answer, "data_encoding_invalid", "There is no encoding '%s'.", encoding);
	q->zstd = compression && strcmp(compression, "zstd") == 0;
	if (compression && !q->zstd && strcmp(compression, "none") != 0)
		return refuse(answer, "data_compression_invalid", "There is no compression '%s'.", compression);
	q->style.pretty_price = request_flag(request, "pretty_px", false);
	q->style.pretty_time = request_flag(request, "pretty_ts", false);
	q->style.symbols = request_flag(request, "map_symbols", false);
	return 0;
}

/* --- symbols ----------------------------------------------------------------------------------------------------- */

int query_resolve(struct resolution *ret, const struct instruments *instruments, uint8_t stype_in, const char *symbols,
		  int32_t first_day, int32_t end_day, struct answer *answer)
{
	struct err err = ERR_INIT;

	if (resolution_open(ret, instruments, stype_in, str_of(symbols), first_day, end_day, &err))
		return refuse(answer, "symbology_invalid_request", "Invalid request: %s.", err.text);
	return 0;
}

bool query_is_idle(const struct query *query)
{
	return !calendar_has_trading_day(query->resolution.first_day, query->resolution.end_day);
}

static int read_symbols(struct query *q, const struct request *request, struct answer *answer)
{
	const char *symbols = request_text(request, "symbols");
	int32_t first = (int32_t)(q->window.start / NS_PER_DAY), end = (int32_t)((q->window.end - 1) / NS_PER_DAY) + 1;
	bool found;

	q->symbols = mem_strdup(symbols ? symbols : "ALL_SYMBOLS");
	if (query_stype(request, "stype_in", STYPE_RAW_SYMBOL, &q->stype_in, answer) ||
	    query_stype(request, "stype_out", STYPE_INSTRUMENT_ID, &q->stype_out, answer) ||
	    query_resolve(&q->resolution, simulator_instruments(q->simulator, q->dataset), q->stype_in, q->symbols,
			  first, end, answer))
		return -1;
	found = resolution_count(&q->resolution, FOUND_NOT) < q->resolution.count;
	if (!found && (!query_is_idle(q) || q->simulator->options.weekend_422))
		return refuse(answer, "symbology_invalid_request", "None of the symbols could be resolved.%s", "");
	return 0;
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

int query_open(struct query *ret, struct simulator *simulator, const struct request *request, struct answer *answer)
{
	*ret = (struct query){ .simulator = simulator };
	memcpy(ret->key, request->key, sizeof(ret->key));
	ret->dataset = query_dataset(request, answer);
	if (!ret->dataset)
		return -1;
	if (read_schema(ret, request, answer) || read_window(ret, request, answer) ||
	    read_encoding(ret, request, answer) || read_symbols(ret, request, answer))
		return -1;
	ret->history = archive_copy(&simulator->archive, ret->dataset);
	return 0;
}

void query_release(struct query *query)
{
	resolution_release(&query->resolution);
	free(query->symbols);
	free(query->history);
	*query = (struct query){ 0 };
}

static uint32_t keep_symbol(struct series *series, uint32_t count, const char *label, const struct resolved *of)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t s = 0; s < of->count; s++)
			if (series[i].instrument == of->spans[s].instrument &&
			    series[i].first_day == of->spans[s].first_day &&
			    (series[i].label == label || label == NULL)) {
				series[kept++] = series[i];
				break;
			}
	return kept;
}

struct stream *query_stream(const struct query *query, int64_t start, int64_t end, uint32_t symbol)
{
	uint64_t seed = query->simulator->options.market.seed;
	struct market market = { seed, query->dataset, query->resolution.instruments, query->history };
	struct stream_window window = query->window;
	uint32_t count;
	struct series *series = resolution_series(&query->resolution, seed, &count);

	if (symbol != UINT32_MAX) {
		const struct resolved *of = &query->resolution.list[symbol];

		count = keep_symbol(series, count, query->resolution.stype_in == STYPE_PARENT ? NULL : of->symbol, of);
	}
	window.start = start;
	window.end = end;
	return stream_open(&market, &window, series, count, &query->simulator->options.defects);
}

uint16_t query_record_bytes(const struct query *query)
{
	return query->layout->bytes[query->simulator->options.dbn_version - 1];
}
