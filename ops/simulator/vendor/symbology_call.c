#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "ops/simulator/vendor/calls.h"
#include "ops/simulator/vendor/moment.h"
#include "ops/simulator/vendor/query.h"
#include "stages/fetcher/formats/dbn.h"

static void put_day(struct json_out *json, const char *key, int32_t day)
{
	char text[CLOCK_TEXT_MAX];

	clock_format_date(day, text);
	json_put_key(json, key);
	json_put_str(json, str_of(text));
}

static void put_intervals(struct json_out *json, const struct resolution *resolution, const struct span *span,
			  uint8_t stype_out)
{
	int32_t day = span->first_day, first, end;
	uint32_t id;

	while (span_next_id(resolution, span, &day, &first, &end, &id)) {
		char text[16];

		json_put_open(json, '{');
		put_day(json, "d0", first);
		put_day(json, "d1", end);
		snprintf(text, sizeof(text), "%" PRIu32, id);
		json_put_key(json, "s");
		json_put_str(json, str_of(stype_out == STYPE_RAW_SYMBOL ? span->instrument->raw : text));
		json_put_close(json, '}');
	}
}

static void put_result(struct json_out *json, const struct resolution *resolution, uint8_t stype_out)
{
	json_put_key(json, "result");
	json_put_open(json, '{');
	for (uint32_t i = 0; i < resolution->count; i++) {
		const struct resolved *of = &resolution->list[i];

		if (of->found == FOUND_NOT)
			continue;
		json_put_key(json, of->symbol);
		json_put_open(json, '[');
		for (uint32_t s = 0; s < of->count; s++)
			put_intervals(json, resolution, &of->spans[s], stype_out);
		json_put_close(json, ']');
	}
	json_put_close(json, '}');
}

/* Those of one kind; all where `every` is set. */
static void put_symbols(struct json_out *json, const char *key, const struct resolution *resolution, enum found found,
			bool every)
{
	json_put_key(json, key);
	json_put_open(json, '[');
	for (uint32_t i = 0; i < resolution->count; i++)
		if (every || resolution->list[i].found == found)
			json_put_str(json, str_of(resolution->list[i].symbol));
	json_put_close(json, ']');
}

void symbology_put(const struct resolution *resolution, uint8_t stype_in, uint8_t stype_out, struct json_out *json)
{
	static const char *const messages[] = { "OK", "Partially resolved", "Not found" };
	uint32_t none = resolution_count(resolution, FOUND_NOT);
	unsigned status = none + resolution_count(resolution, FOUND_PARTIAL) > 0;

	if (none == resolution->count && none > 0)
		status = 2;
	json_put_open(json, '{');
	put_result(json, resolution, stype_out);
	put_symbols(json, "symbols", resolution, FOUND_ALL, true);
	json_put_key(json, "stype_in");
	json_put_str(json, str_of(dbn_stype_name(stype_in)));
	json_put_key(json, "stype_out");
	json_put_str(json, str_of(dbn_stype_name(stype_out)));
	put_day(json, "start_date", resolution->first_day);
	put_day(json, "end_date", resolution->end_day);
	put_symbols(json, "partial", resolution, FOUND_PARTIAL, false);
	put_symbols(json, "not_found", resolution, FOUND_NOT, false);
	json_put_key(json, "message");
	json_put_str(json, str_of(messages[status]));
	json_put_key(json, "status");
	json_put_uint(json, status);
	json_put_close(json, '}');
}

static bool read_days(const struct market_options *market, const struct request *request, int32_t *ret_first,
		      int32_t *ret_end, struct answer *answer)
{
	const char *start = request_text(request, "start_date"), *end = request_text(request, "end_date");
	int64_t first, next, last, unused;

	if (!start || !moment_parse(start, &first, &next) || (end && !moment_parse(end, &last, &unused))) {
		answer_case(answer, 422, "symbology_invalid_request", "start_date and end_date are dates.", NULL);
		return false;
	}
	*ret_first = (int32_t)(first / NS_PER_DAY);
	*ret_end = (int32_t)((end ? last : next) / NS_PER_DAY);
	if (*ret_first >= *ret_end)
		answer_case(answer, 422, "data_time_range_start_on_or_after_end", "The start is on or after the end.",
			    NULL);
	else if (*ret_first < market->first_day || *ret_end > market->end_day)
		answer_case(answer, 422, "symbology_invalid_request", "These days are not available.", NULL);
	else
		return true;
	return false;
}

void symbology_resolve(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	CLEANUP(resolution_release) struct resolution resolution = { 0 };
	const struct dataset *dataset = query_dataset(request, answer);
	const char *symbols = request_text(request, "symbols");
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	uint8_t stype_in, stype_out;
	int32_t first, end;

	if (!dataset || query_stype(request, "stype_in", STYPE_RAW_SYMBOL, &stype_in, answer) ||
	    query_stype(request, "stype_out", STYPE_INSTRUMENT_ID, &stype_out, answer) ||
	    !read_days(&simulator->options.market, request, &first, &end, answer) ||
	    query_resolve(&resolution, simulator_instruments(simulator, dataset), stype_in,
			  symbols ? symbols : "ALL_SYMBOLS", first, end, answer))
		return;
	symbology_put(&resolution, stype_in, stype_out, &json);
	answer_json(answer, &buf);
}
