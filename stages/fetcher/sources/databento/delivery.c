#include "stages/fetcher/sources/databento/delivery.h"

#include "common/json_out.h"
#include "schemas.h"
#include "stages/fetcher/formats/dbn.h"

#define RESULT_MAX (240 * 1024)
#define NAMES_MAX (48 * 1024) /* of symbols that were not found, or in part */

void delivery_init(struct delivery *delivery, int64_t end)
{
	*delivery = (struct delivery){
		.end = end,
		.expected = DELIVERY_UNKNOWN,
		.partial = BUF_INIT(NAMES_MAX),
		.not_found = BUF_INIT(NAMES_MAX),
		.result = BUF_INIT(RESULT_MAX),
	};
}

void delivery_release(struct delivery *delivery)
{
	tally_release(&delivery->tally);
	buf_release(&delivery->partial);
	buf_release(&delivery->not_found);
	buf_release(&delivery->result);
}

void delivery_take(struct delivery *delivery, const struct source_item *item)
{
	if (item->type == &symbol_mapping_type) /* of the metadata: the vendor counts no such records */
		return;
	delivery->records++;
	if (item->kind == SOURCE_RECORD)
		tally_add(&delivery->tally, item->symbol, item->ts_index);
}

static void put_names(struct buf *names, const struct str *symbols, uint32_t count)
{
	struct json_out out = JSON_OUT(names);

	json_put_open(&out, '[');
	for (uint32_t i = 0; i < count && names->len + symbols[i].len * 2 + 16 < NAMES_MAX; i++)
		json_put_str(&out, symbols[i]);
	json_put_close(&out, ']');
}

void delivery_take_names(struct delivery *delivery, const struct dbn_metadata *metadata)
{
	if (delivery->names_taken || !metadata)
		return;
	put_names(&delivery->partial, metadata->partial, metadata->partial_count);
	put_names(&delivery->not_found, metadata->not_found, metadata->not_found_count);
	delivery->names_taken = true;
}

static void put_texts(struct buf *names, const json_t *symbols)
{
	struct json_out out = JSON_OUT(names);
	size_t i;
	json_t *symbol;

	json_put_open(&out, '[');
	json_array_foreach(symbols, i, symbol)
	{
		struct str text = str_of(json_is_string(symbol) ? json_string_value(symbol) : "");

		if (names->len + text.len * 2 + 16 < NAMES_MAX)
			json_put_str(&out, text);
	}
	json_put_close(&out, ']');
}

void delivery_name(struct delivery *delivery, const json_t *partial, const json_t *not_found)
{
	put_texts(&delivery->partial, partial);
	put_texts(&delivery->not_found, not_found);
}

static void put_array(struct json_out *out, const char *key, const struct buf *array)
{
	json_put_key(out, key);
	json_put_raw(out, array->len > 0 ? buf_str(array) : STR_LIT("[]"));
}

const char *delivery_result(struct delivery *delivery)
{
	struct json_out out = JSON_OUT(&delivery->result);

	buf_reset(&delivery->result);
	json_put_open(&out, '{');
	json_put_key(&out, "covered_end");
	json_put_time(&out, delivery->end);
	json_put_key(&out, "records");
	json_put_int(&out, delivery->records);
	json_put_key(&out, "expected_records");
	if (delivery->expected == DELIVERY_UNKNOWN)
		json_put_null(&out);
	else
		json_put_int(&out, delivery->expected);
	json_put_key(&out, "billed_bytes");
	json_put_int(&out, delivery->billed);
	put_array(&out, "partial", &delivery->partial);
	put_array(&out, "not_found", &delivery->not_found);
	json_put_key(&out, "days");
	tally_put(&delivery->tally, &out);
	json_put_close(&out, '}');
	return delivery->result.overflow ? "" : buf_text(&delivery->result);
}
