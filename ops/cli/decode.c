#include "ops/cli/decode.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/err.h"
#include "common/json_out.h"
#include "stages/fetcher/formats/dbn.h"

#define OUTPUT_MAX (1024 * 1024)
#define OUTPUT_FLUSH (64 * 1024)

static const char usage[] =
	"usage: penstock decode [--metadata] FILE...\n"
	"\n"
	"Prints the records of DBN files (version 3, plain or zstd) as JSON lines:\n"
	"bars with exact prices and nanoseconds, records of other types as their\n"
	"header and the rest in hexadecimal.\n"
	"\n"
	"  --metadata  print one JSON object per file instead: dataset, schema, symbols, mappings, ...\n"
	"  --help      this text\n"
	"\n"
	"Exit codes: 0 done, 1 a file could not be read to its end, 2 wrong arguments.\n";

struct output {
	struct buf buf;
	struct json_out json;
	bool closed; /* the reader went away: nothing more to do, and nothing to complain about */
	bool failed;
};

static void flush(struct output *out)
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
		flush(out);
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

static void put_price(struct json_out *json, const char *key, int64_t price)
{
	json_put_key(json, key);
	if (price == DBN_UNDEF_PRICE)
		json_put_null(json);
	else
		json_put_decimal(json, price);
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

static void put_bar(struct output *out, const struct dbn_reader *reader, const struct dbn_record *record,
		    const struct dbn_ohlcv *bar)
{
	struct json_out *json = &out->json;
	uint64_t ts_out;

	put_text(json, "symbol", dbn_symbol(reader, record->instrument_id, record->ts_event));
	put_name(json, "schema", dbn_ohlcv_schema(record->rtype));
	put_price(json, "open", bar->open);
	put_price(json, "high", bar->high);
	put_price(json, "low", bar->low);
	put_price(json, "close", bar->close);
	put_uint(json, "volume", bar->volume);
	if (dbn_ts_out(reader, record, &ts_out))
		put_time(json, "ts_out", ts_out);
}

static void put_record(struct output *out, const struct dbn_reader *reader, const struct dbn_record *record)
{
	struct json_out *json = &out->json;
	struct str body = { record->bytes.data + DBN_HEADER_BYTES, record->bytes.len - DBN_HEADER_BYTES };
	struct dbn_ohlcv bar;

	json_put_open(json, '{');
	put_time(json, "ts_event", record->ts_event);
	put_uint(json, "rtype", record->rtype);
	put_uint(json, "publisher_id", record->publisher_id);
	put_uint(json, "instrument_id", record->instrument_id);
	if (dbn_ohlcv(reader, record, &bar))
		put_bar(out, reader, record, &bar);
	else
		put_hex(out, body);
	json_put_close(json, '}');
	end_line(out);
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

static void put_metadata(struct output *out, const struct dbn_metadata *metadata)
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

static int decode_file(struct output *out, const char *path, bool metadata_only, struct err *err)
{
	CLEANUP(dbn_freep) struct dbn_reader *reader = NULL;
	struct dbn_record record;
	int got;

	if (dbn_open(&reader, path, err))
		return -1;
	if (metadata_only) {
		put_metadata(out, dbn_metadata(reader));
		return 0;
	}
	while (!out->closed && !out->failed) {
		got = dbn_next(reader, &record, err);
		if (got <= 0)
			return got;
		put_record(out, reader, &record);
	}
	return 0;
}

/* 0, or the exit code plus one: the command is over. */
static int parse_options(int argc, char **argv, bool *ret_metadata)
{
	static const struct option options[] = {
		{ "metadata", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	optind = 0; /* another command line may have been parsed before */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 1 + EXIT_OK;
		}
		if (option != 'm') {
			fprintf(stderr, "penstock decode: unknown option '%s'; see penstock decode --help\n",
				argv[optind - 1]);
			return 1 + EXIT_USAGE;
		}
		*ret_metadata = true;
	}
	if (optind < argc)
		return 0;
	fprintf(stderr, "penstock decode: no file named; see penstock decode --help\n");
	return 1 + EXIT_USAGE;
}

static void output_release(struct output *out)
{
	buf_release(&out->buf);
}

int command_decode(int argc, char **argv)
{
	CLEANUP(output_release) struct output out = { .buf = BUF_INIT(OUTPUT_MAX) };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	bool metadata_only = false, failed = false;
	int over = parse_options(argc, argv, &metadata_only);

	if (over)
		return over - 1;
	out.json = (struct json_out)JSON_OUT(&out.buf);
	sigaction(SIGPIPE, &ignore, NULL);
	for (int i = optind; i < argc && !out.closed && !out.failed; i++) {
		struct err err = ERR_INIT;
		int broken = decode_file(&out, argv[i], metadata_only, &err);

		flush(&out);
		if (broken)
			fprintf(stderr, "penstock decode: %s\n", err.text);
		failed |= broken != 0;
	}
	return failed || out.failed ? EXIT_FAILED : EXIT_OK;
}
