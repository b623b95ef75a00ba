#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "ops/simulator/vendor/calls.h"
#include "ops/simulator/vendor/moment.h"
#include "ops/simulator/vendor/query.h"
#include "stages/fetcher/formats/dbn.h"

#define GIGABYTE 1e9
#define SCHEMA_NUMBERS 32

static void put_text(struct json_out *json, const char *key, const char *text)
{
	json_put_key(json, key);
	json_put_str(json, str_of(text));
}

static void put_dollars(struct json_out *json, double dollars)
{
	char text[40];

	snprintf(text, sizeof(text), "%.12g", dollars);
	json_put_raw(json, str_of(text));
}

static void put_date(struct json_out *json, int32_t day)
{
	char text[CLOCK_TEXT_MAX];

	clock_format_date(day, text);
	json_put_str(json, str_of(text));
}

/* --- lists ------------------------------------------------------------------------------------------------------- */

void metadata_list_datasets(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	(void)simulator;
	(void)request;
	json_put_open(&json, '[');
	for (size_t i = 0; i < dataset_count; i++)
		json_put_str(&json, str_of(datasets[i].name));
	json_put_close(&json, ']');
	answer_json(answer, &buf);
}

void metadata_list_schemas(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	const struct dataset *dataset = query_dataset(request, answer);
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	(void)simulator;
	if (!dataset)
		return;
	json_put_open(&json, '[');
	for (uint16_t schema = 0; schema < SCHEMA_NUMBERS; schema++)
		if (dataset_has_schema(dataset, schema))
			json_put_str(&json, str_of(dbn_schema_name(schema)));
	json_put_close(&json, ']');
	answer_json(answer, &buf);
}

static void put_publisher(struct json_out *json, const struct dataset *dataset, const struct publisher *publisher)
{
	json_put_open(json, '{');
	json_put_key(json, "publisher_id");
	json_put_uint(json, publisher->id);
	put_text(json, "dataset", dataset->name);
	put_text(json, "venue", publisher->venue);
	put_text(json, "description", publisher->description);
	json_put_close(json, '}');
}

void metadata_list_publishers(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	(void)simulator;
	(void)request;
	json_put_open(&json, '[');
	for (size_t i = 0; i < dataset_count; i++)
		for (uint8_t p = 0; p < datasets[i].publisher_count; p++)
			put_publisher(&json, &datasets[i], &datasets[i].publishers[p]);
	json_put_close(&json, ']');
	answer_json(answer, &buf);
}

static void put_field(struct json_out *json, const struct field *field)
{
	if (field->places[DBN_VERSIONS - 1].bytes == 0)
		return;
	json_put_open(json, '{');
	put_text(json, "name", field->name);
	put_text(json, "type", field->type);
	json_put_close(json, '}');
}

void metadata_list_fields(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	const char *name = request_text(request, "schema");
	const struct layout *layout = layout_find(dbn_schema_number(str_of(name ? name : "")));
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	(void)simulator;
	if (!layout) {
		answer_case(answer, 422, "data_schema_invalid", "The fields of this schema are not known here.", NULL);
		return;
	}
	json_put_open(&json, '[');
	for (uint32_t i = 0; i < header_field_count; i++)
		put_field(&json, &header_fields[i]);
	for (uint32_t i = 0; i < layout->count; i++)
		put_field(&json, &layout->fields[i]);
	json_put_close(&json, ']');
	answer_json(answer, &buf);
}

static void put_unit_prices(struct json_out *json, const struct dataset *dataset, const char *mode)
{
	json_put_open(json, '{');
	put_text(json, "mode", mode);
	json_put_key(json, "unit_prices");
	json_put_open(json, '{');
	for (uint16_t schema = 0; schema < SCHEMA_NUMBERS; schema++) {
		if (!dataset_has_schema(dataset, schema))
			continue;
		json_put_key(json, dbn_schema_name(schema));
		put_dollars(json, dataset_unit_price(dataset, schema));
	}
	json_put_close(json, '}');
	json_put_close(json, '}');
}

void metadata_list_unit_prices(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	const struct dataset *dataset = query_dataset(request, answer);
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	(void)simulator;
	if (!dataset)
		return;
	json_put_open(&json, '[');
	put_unit_prices(&json, dataset, "historical");
	put_unit_prices(&json, dataset, "historical-streaming");
	json_put_close(&json, ']');
	answer_json(answer, &buf);
}

/* --- days -------------------------------------------------------------------------------------------------------- */

void metadata_put_conditions(struct simulator *simulator, const struct dataset *dataset, int32_t first_day,
			     int32_t last_day, struct json_out *json)
{
	CLEANUP(freep) struct history *history = archive_copy(&simulator->archive, dataset);

	json_put_open(json, '[');
	for (int32_t day = first_day; day <= last_day; day++) {
		enum day_condition condition;
		int32_t modified;

		if (!calendar_is_trading_day(day))
			continue;
		condition = history_condition(history, dataset, day, &modified);
		json_put_open(json, '{');
		json_put_key(json, "date");
		put_date(json, day);
		put_text(json, "condition", day_condition_name(condition));
		json_put_key(json, "last_modified_date");
		if (condition == CONDITION_MISSING)
			json_put_null(json);
		else
			put_date(json, modified);
		json_put_close(json, '}');
	}
	json_put_close(json, ']');
}

/* False: it is there and no date; the answer says so. */
static bool read_day(const struct request *request, const char *name, int32_t fallback, int32_t *ret,
		     struct answer *answer)
{
	const char *text = request_text(request, name);
	int64_t ns, next;

	*ret = fallback;
	if (!text)
		return true;
	if (!moment_parse(text, &ns, &next)) {
		answer_detail(answer, 422, "a date such as 2024-01-02 is needed");
		return false;
	}
	*ret = (int32_t)(ns / NS_PER_DAY);
	return true;
}

void metadata_get_dataset_condition(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	const struct market_options *market = &simulator->options.market;
	const struct dataset *dataset = query_dataset(request, answer);
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	int32_t first, last;

	if (!dataset || !read_day(request, "start_date", market->first_day, &first, answer) ||
	    !read_day(request, "end_date", market->end_day - 1, &last, answer))
		return;
	first = first > market->first_day ? first : market->first_day;
	last = last < market->end_day ? last : market->end_day - 1;
	metadata_put_conditions(simulator, dataset, first, last, &json);
	answer_json(answer, &buf);
}

static void put_range(struct json_out *json, const struct market_options *market)
{
	json_put_key(json, "start");
	json_put_time(json, market->first_day * NS_PER_DAY);
	json_put_key(json, "end");
	json_put_time(json, market->end_day * NS_PER_DAY);
}

void metadata_get_dataset_range(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	const struct dataset *dataset = query_dataset(request, answer);
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	if (!dataset)
		return;
	json_put_open(&json, '{');
	put_range(&json, &simulator->options.market);
	json_put_key(&json, "schema");
	json_put_open(&json, '{');
	for (uint16_t schema = 0; schema < SCHEMA_NUMBERS; schema++) {
		if (!dataset_has_schema(dataset, schema))
			continue;
		json_put_key(&json, dbn_schema_name(schema));
		json_put_open(&json, '{');
		put_range(&json, &simulator->options.market);
		json_put_close(&json, '}');
	}
	json_put_close(&json, '}');
	json_put_close(&json, '}');
	answer_json(answer, &buf);
}

/* --- what a window holds ----------------------------------------------------------------------------------------- */

static uint64_t count_records(const struct query *query)
{
	CLEANUP(stream_freep)
	struct stream *stream = query_stream(query, query->window.start, query->window.end, UINT32_MAX);
	struct record record;
	uint64_t count = 0;

	while (stream_next(stream, &record))
		count++;
	return count;
}

/* False: the answer is made. */
static bool measure(struct simulator *simulator, const struct request *request, struct answer *answer,
		    uint64_t *ret_records, uint64_t *ret_bytes, double *ret_dollars)
{
	CLEANUP(query_release) struct query query = { 0 };

	if (query_open(&query, simulator, request, answer))
		return false;
	*ret_records = count_records(&query);
	*ret_bytes = *ret_records * query_record_bytes(&query);
	*ret_dollars = (double)*ret_bytes / GIGABYTE * dataset_unit_price(query.dataset, query.window.schema->number);
	return true;
}

void metadata_get_record_count(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	uint64_t records, bytes;
	double dollars;

	if (!measure(simulator, request, answer, &records, &bytes, &dollars))
		return;
	json_put_uint(&json, records);
	answer_json(answer, &buf);
}

void metadata_get_billable_size(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	uint64_t records, bytes;
	double dollars;

	if (!measure(simulator, request, answer, &records, &bytes, &dollars))
		return;
	json_put_uint(&json, bytes);
	answer_json(answer, &buf);
}

void metadata_get_cost(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);
	uint64_t records, bytes;
	double dollars;

	if (!measure(simulator, request, answer, &records, &bytes, &dollars))
		return;
	put_dollars(&json, dollars);
	answer_json(answer, &buf);
}
