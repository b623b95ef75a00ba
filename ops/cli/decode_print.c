#include "ops/cli/decode_print.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "stages/fetcher/formats/dbn_types.h"

#define OUTPUT_MAX (1024 * 1024)
#define OUTPUT_FLUSH (64 * 1024)

void output_init(struct output *out)
{
	*out = (struct output){ .buf = BUF_INIT(OUTPUT_MAX) };
	out->json = (struct json_out)JSON_OUT(&out->buf);
}

void output_release(struct output *out)
{
	buf_release(&out->buf);
}

void output_flush(struct output *out)
{
	size_t done = 0;

	while (done < out->buf.len && !out->closed && !out->failed) {
		ssize_t n = write(STDOUT_FILENO, out->buf.data + done, out->buf.len - done);

		if (n >= 0) {
			done += (size_t)n;
		} else if (errno == EPIPE) {
			out->closed = true;
		} else if (errno != EINTR) {
			fprintf(stderr, "penstock decode: standard output: %s\n", strerror(errno));
			out->failed = true;
		}
	}
	buf_reset(&out->buf);
}

static void flush_some(struct output *out)
{
	if (out->buf.len >= OUTPUT_FLUSH)
		output_flush(out);
}

static void end_line(struct output *out)
{
	buf_put_u8(&out->buf, '\n');
	out->json.comma = false;
	flush_some(out);
}

/* Null where it is undefined; a number where it is beyond what a date can say. */
static void put_time(struct json_out *json, const char *key, uint64_t ns)
{
	json_put_key(json, key);
	if (ns == DBN_UNDEF_TIMESTAMP)
		json_put_null(json);
	else if (ns > INT64_MAX)
		json_put_uint(json, ns);
	else
		json_put_time(json, (int64_t)ns);
}

static void put_uint(struct json_out *json, const char *key, uint64_t value)
{
	json_put_key(json, key);
	json_put_uint(json, value);
}

static void put_text(struct json_out *json, const char *key, struct str value)
{
	json_put_key(json, key);
	if (value.len > 0)
		json_put_str(json, value);
	else
		json_put_null(json);
}

static void put_name(struct json_out *json, const char *key, const char *name)
{
	put_text(json, key, str_of(name ? name : ""));
}

static void put_hex(struct output *out, struct str bytes)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * DBN_RECORD_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < bytes.len; i++) {
		text[n++] = digits[(uint8_t)bytes.data[i] >> 4];
		text[n++] = digits[(uint8_t)bytes.data[i] & 15];
	}
	json_put_key(&out->json, "hex");
	json_put_str(&out->json, (struct str){ text, n });
}

/* Null where the field is undefined; prices and times as exact text. */
static void put_value(struct json_out *json, const struct dbn_field *field, const struct dbn_value *value)
{
	json_put_key(json, field->name);
	if (value->null)
		json_put_null(json);
	else if (field->kind == DBN_CHAR || field->kind == DBN_TEXT)
		json_put_str(json, value->text);
	else if (field->kind == DBN_PRICE)
		json_put_decimal(json, value->number);
	else if (field->kind == DBN_TIME && value->number >= 0)
		json_put_time(json, value->number);
	else if (field->kind == DBN_TIME || field->kind == DBN_U64)
		json_put_uint(json, (uint64_t)value->number);
	else
		json_put_int(json, value->number);
}

static void put_fields(struct json_out *json, const struct dbn_type *type, unsigned version, struct str bytes)
{
	struct dbn_value value;

	for (const struct dbn_field *field = type->fields; field->name; field++)
		if (dbn_field_read(field, version, bytes, &value))
			put_value(json, field, &value);
}

/* By ts_recv where the type has one, as requests are cut on it; else, or where that maps nothing, by ts_event. */
static struct str symbol_of(const struct dbn_reader *reader, const struct dbn_type *type,
			    const struct dbn_record *record)
{
	const struct dbn_field *field = type->fields;
	struct str symbol = { "", 0 };
	struct dbn_value ts_recv;

	while (field->name && strcmp(field->name, "ts_recv") != 0)
		field++;
	if (field->name && dbn_field_read(field, dbn_metadata(reader)->version, record->bytes, &ts_recv) &&
	    !ts_recv.null)
		symbol = dbn_symbol(reader, record->instrument_id, (uint64_t)ts_recv.number);
	return symbol.len > 0 ? symbol : dbn_symbol(reader, record->instrument_id, record->ts_event);
}

static void put_known(struct output *out, const struct dbn_reader *reader, const struct dbn_type *type,
		      const struct dbn_record *record)
{
	const struct dbn_metadata *metadata = dbn_metadata(reader);
	bool is_tbbo = record->rtype == DBN_MBP_1 && metadata->schema == dbn_schema_number(STR_LIT("tbbo"));
	uint64_t ts_out;

	put_text(&out->json, "symbol", symbol_of(reader, type, record));
	put_name(&out->json, "schema", is_tbbo ? "tbbo" : type->name);
	put_fields(&out->json, type, metadata->version, record->bytes);
	if (dbn_ts_out(reader, record, &ts_out))
		put_time(&out->json, "ts_out", ts_out);
}

/* Whether the record can be read by its type. */
static int check_record(struct dbn_reader *reader, const struct dbn_type *type, const struct dbn_record *record,
			struct err *why)
{
	uint32_t bytes = dbn_record_bytes(reader, record->rtype);

	if (!type)
		return err_set(why, ERR_RECORD, "record type 0x%02X is not known", record->rtype);
	if (record->bytes.len != bytes)
		return err_set(why, ERR_RECORD, "%u bytes, %s has %u", record->bytes.len, type->name, bytes);
	return record->rtype == DBN_SYMBOL_MAPPING ? dbn_map_symbol(reader, record, why) : 0;
}

int decode_put_record(struct output *out, struct dbn_reader *reader, const struct dbn_record *record, struct err *why)
{
	struct str body = { record->bytes.data + DBN_HEADER_BYTES, record->bytes.len - DBN_HEADER_BYTES };
	const struct dbn_type *type = dbn_type_of(record->rtype);
	struct json_out *json = &out->json;
	int failed = check_record(reader, type, record, why);

	json_put_open(json, '{');
	put_time(json, "ts_event", record->ts_event);
	put_uint(json, "rtype", record->rtype);
	put_uint(json, "publisher_id", record->publisher_id);
	put_uint(json, "instrument_id", record->instrument_id);
	if (failed)
		put_hex(out, body);
	else
		put_known(out, reader, type, record);
	json_put_close(json, '}');
	end_line(out);
	return failed;
}

static void put_symbols(struct output *out, const char *key, const struct str *symbols, uint32_t count)
{
	json_put_key(&out->json, key);
	json_put_open(&out->json, '[');
	for (uint32_t i = 0; i < count; i++) {
		json_put_str(&out->json, symbols[i]);
		flush_some(out);
	}
	json_put_close(&out->json, ']');
}

static void put_day(struct json_out *json, const char *key, int32_t day)
{
	char text[CLOCK_TEXT_MAX];

	clock_format_date(day, text);
	json_put_key(json, key);
	json_put_str(json, str_of(text));
}

static void put_mapping(struct output *out, const struct dbn_mapping *mapping)
{
	struct json_out *json = &out->json;

	json_put_open(json, '{');
	json_put_key(json, "raw_symbol");
	json_put_str(json, mapping->raw_symbol);
	json_put_key(json, "intervals");
	json_put_open(json, '[');
	for (uint32_t i = 0; i < mapping->interval_count; i++) {
		json_put_open(json, '{');
		put_day(json, "start_date", mapping->intervals[i].start_day);
		put_day(json, "end_date", mapping->intervals[i].end_day);
		json_put_key(json, "symbol");
		json_put_str(json, mapping->intervals[i].symbol);
		json_put_close(json, '}');
		flush_some(out);
	}
	json_put_close(json, ']');
	json_put_close(json, '}');
}

void decode_put_metadata(struct output *out, const struct dbn_metadata *metadata)
{
	struct json_out *json = &out->json;

	json_put_open(json, '{');
	put_text(json, "dataset", metadata->dataset);
	put_name(json, "schema", dbn_schema_name(metadata->schema));
	put_uint(json, "version", metadata->version);
	put_time(json, "start", metadata->start);
	put_time(json, "end", metadata->end);
	json_put_key(json, "limit");
	if (metadata->limit > 0)
		json_put_uint(json, metadata->limit);
	else
		json_put_null(json);
	put_name(json, "stype_in", dbn_stype_name(metadata->stype_in));
	put_name(json, "stype_out", dbn_stype_name(metadata->stype_out));
	json_put_key(json, "ts_out");
	json_put_bool(json, metadata->ts_out);
	put_symbols(out, "symbols", metadata->symbols, metadata->symbol_count);
	put_symbols(out, "partial", metadata->partial, metadata->partial_count);
	put_symbols(out, "not_found", metadata->not_found, metadata->not_found_count);
	json_put_key(json, "mappings");
	json_put_open(json, '[');
	for (uint32_t i = 0; i < metadata->mapping_count; i++)
		put_mapping(out, &metadata->mappings[i]);
	json_put_close(json, ']');
	json_put_close(json, '}');
	end_line(out);
}
