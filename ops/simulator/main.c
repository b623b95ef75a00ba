/* penstock-simulator: DBN files of made-up records, for tests and for trying things without a vendor. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/version.h"
#include "ops/simulator/generate.h"
#include "ops/simulator/serve.h"
#include "ops/simulator/ticks.h"
#include "stages/fetcher/formats/dbn.h"

#define SUMMARY_MAX (16 * 1024 * 1024)
#define FILES_MAX 10000

static const char usage[] =
	"usage: penstock-simulator --write FILE [options]\n"
	"       penstock-simulator --listen ADDRESS:PORT [options], see --listen - --help\n"
	"\n"
	"Writes a DBN file (version 3) of made-up records, the same for the same options.\n"
	"A name that ends in .zst is compressed.\n"
	"\n"
	"  --write FILE         where to\n"
	"  --schema SCHEMA      ohlcv-1s, ohlcv-1m (the default), ohlcv-1h, ohlcv-1d, trades, tbbo, statistics or\n"
	"                       definition\n"
	"  --bars N             how many bars, or records of another schema (default 100000)\n"
	"  --records N          the same\n"
	"  --symbols N          of how many symbols (default 50); trades and tbbo as Zipf has it: the first has most\n"
	"  --start DATE         first day, as 2024-01-02 (the default); a weekend moves on to Monday\n"
	"  --seed N             another seed, other prices (default 1)\n"
	"  --broken N           break N of the bars, each in one way of the list below in turn (default 0)\n"
	"  --files N            share the days out over N files, or the records where there are fewer days: FILE\n"
	"                       gets a number before .dbn (default 1)\n"
	"  --dataset NAME       (default XNAS.ITCH)\n"
	"  --publisher-id N     (default 2)\n"
	"  --json               print the summary as JSON\n"
	"  --help, --version    this text, the version\n"
	"\n"
	"Ways to break a bar:\n";

struct arguments {
	struct generate_options options;
	bool json;
};

enum option_id {
	OPTION_WRITE = 256,
	OPTION_SCHEMA,
	OPTION_BARS,
	OPTION_SYMBOLS,
	OPTION_START,
	OPTION_SEED,
	OPTION_BROKEN,
	OPTION_FILES,
	OPTION_DATASET,
	OPTION_PUBLISHER_ID,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option option_table[] = {
	{ "write", required_argument, NULL, OPTION_WRITE },
	{ "schema", required_argument, NULL, OPTION_SCHEMA },
	{ "bars", required_argument, NULL, OPTION_BARS },
	{ "records", required_argument, NULL, OPTION_BARS },
	{ "symbols", required_argument, NULL, OPTION_SYMBOLS },
	{ "start", required_argument, NULL, OPTION_START },
	{ "seed", required_argument, NULL, OPTION_SEED },
	{ "broken", required_argument, NULL, OPTION_BROKEN },
	{ "files", required_argument, NULL, OPTION_FILES },
	{ "dataset", required_argument, NULL, OPTION_DATASET },
	{ "publisher-id", required_argument, NULL, OPTION_PUBLISHER_ID },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void print_usage(void)
{
	fputs(usage, stdout);
	for (unsigned kind = 0; kind < BROKEN_KINDS; kind++)
		printf("  %s\n", broken_kind_name((enum broken_kind)kind));
	puts("\nExit codes: 0 done, 1 a file could not be written, 2 wrong arguments.");
}

static int parse_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct err *err)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || *ret < min || *ret > max)
		return err_set(err, ERR_FATAL, "--%s %s: a number from %" PRIu64 " to %" PRIu64 " is needed", name,
			       text, min, max);
	return 0;
}

static int parse_start(const char *text, int32_t *ret_day, struct err *err)
{
	int64_t ns;

	if (!clock_parse(str_of(text), &ns))
		return err_set(err, ERR_FATAL, "--start %s: a date such as 2024-01-02 is needed", text);
	*ret_day = clock_day_of(ns);
	return 0;
}

static int parse_schema(const char *text, uint16_t *ret, struct err *err)
{
	*ret = dbn_schema_number(str_of(text));
	if (!ticks_make(*ret) && (dbn_ohlcv_rtype(*ret) == 0 || dbn_ohlcv_rtype(*ret) == DBN_OHLCV_EOD))
		return err_set(err, ERR_FATAL,
			       "--schema %s: one of ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d, trades, tbbo, statistics,"
			       " definition is needed",
			       text);
	return 0;
}

static int apply_number(struct generate_options *options, int id, const char *name, const char *text, struct err *err)
{
	uint64_t n, max = id == OPTION_SYMBOLS        ? BARS_SYMBOLS_MAX
			  : id == OPTION_FILES        ? FILES_MAX
			  : id == OPTION_PUBLISHER_ID ? UINT16_MAX
						      : INT64_MAX;

	if (parse_number(name, text, id == OPTION_BARS || id == OPTION_SYMBOLS || id == OPTION_FILES, max, &n, err))
		return -1;
	switch (id) {
	case OPTION_BARS:
		options->bars.bars = n;
		break;
	case OPTION_SYMBOLS:
		options->bars.symbols = (uint32_t)n;
		break;
	case OPTION_SEED:
		options->bars.seed = n;
		break;
	case OPTION_BROKEN:
		options->bars.broken = n;
		break;
	case OPTION_FILES:
		options->files = (uint32_t)n;
		break;
	case OPTION_PUBLISHER_ID:
		options->bars.publisher_id = (uint16_t)n;
		break;
	}
	return 0;
}

static int apply_option(struct arguments *arguments, int id, const char *name, char *value, struct err *err)
{
	struct generate_options *options = &arguments->options;

	switch (id) {
	case OPTION_WRITE:
		options->path = value;
		return 0;
	case OPTION_SCHEMA:
		return parse_schema(value, &options->bars.schema, err);
	case OPTION_START:
		return parse_start(value, &options->bars.start_day, err);
	case OPTION_DATASET:
		options->dataset = value;
		return 0;
	case OPTION_JSON:
		arguments->json = true;
		return 0;
	default:
		return apply_number(options, id, name, value, err);
	}
}

/* OPTION_HELP, OPTION_VERSION: to be answered and nothing else. */
static int parse_arguments(struct arguments *arguments, int argc, char **argv, struct err *err)
{
	int id, index = 0;

	opterr = 0;
	while ((id = getopt_long(argc, argv, ":", option_table, &index)) != -1) {
		if (id == OPTION_HELP || id == OPTION_VERSION)
			return id;
		if (id == ':')
			return err_set(err, ERR_FATAL, "%s needs a value", argv[optind - 1]);
		if (id == '?')
			return err_set(err, ERR_FATAL, "unknown option '%s'", argv[optind - 1]);
		if (apply_option(arguments, id, option_table[index].name, optarg, err))
			return -1;
	}
	if (optind < argc)
		return err_set(err, ERR_FATAL, "unknown argument '%s'", argv[optind]);
	if (!arguments->options.path || !*arguments->options.path)
		return err_set(err, ERR_FATAL, "nothing to do: --write FILE is needed");
	return 0;
}

static uint64_t broken_total(const struct generate_summary *summary)
{
	uint64_t n = 0;

	for (unsigned kind = 0; kind < BROKEN_KINDS; kind++)
		n += summary->broken[kind];
	return n;
}

static void put_number(struct json_out *json, const char *key, uint64_t value)
{
	json_put_key(json, key);
	json_put_uint(json, value);
}

static const char *noun(const struct generate_options *options)
{
	return ticks_make(options->bars.schema) ? "records" : "bars";
}

static void put_files(struct json_out *json, const struct generate_summary *summary, const char *what)
{
	json_put_key(json, "files");
	json_put_open(json, '[');
	for (uint32_t i = 0; i < summary->file_count; i++) {
		json_put_open(json, '{');
		json_put_key(json, "path");
		json_put_str(json, str_of(summary->files[i].path));
		put_number(json, what, summary->files[i].bars);
		put_number(json, "bytes", (uint64_t)summary->files[i].bytes);
		json_put_close(json, '}');
	}
	json_put_close(json, ']');
}

static void print_json(const struct generate_options *options, const struct generate_summary *summary)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(SUMMARY_MAX);
	struct json_out json = JSON_OUT(&buf);

	json_put_open(&json, '{');
	put_number(&json, noun(options), summary->bars);
	put_number(&json, "broken", broken_total(summary));
	json_put_key(&json, "broken_by_kind");
	json_put_open(&json, '{');
	for (unsigned kind = 0; kind < BROKEN_KINDS; kind++)
		put_number(&json, broken_kind_name((enum broken_kind)kind), summary->broken[kind]);
	json_put_close(&json, '}');
	put_number(&json, "symbols", options->bars.symbols);
	json_put_key(&json, "dataset");
	json_put_str(&json, str_of(options->dataset));
	json_put_key(&json, "schema");
	json_put_str(&json, str_of(dbn_schema_name(options->bars.schema)));
	put_number(&json, "seed", options->bars.seed);
	json_put_key(&json, "first");
	json_put_time(&json, summary->first);
	json_put_key(&json, "last");
	json_put_time(&json, summary->last);
	put_number(&json, "bytes", (uint64_t)summary->bytes);
	put_files(&json, summary, noun(options));
	json_put_close(&json, '}');
	puts(buf_text(&buf));
}

static void print_text(const struct generate_options *options, const struct generate_summary *summary)
{
	char first[CLOCK_TEXT_MAX], last[CLOCK_TEXT_MAX];

	clock_format(summary->first, 0, first);
	clock_format(summary->last, 0, last);
	printf("%" PRIu64 " %s (%s, %s) of %" PRIu32 " symbols, %s to %s, %" PRIu64 " broken\n", summary->bars,
	       noun(options), options->dataset, dbn_schema_name(options->bars.schema), options->bars.symbols, first,
	       last, broken_total(summary));
	for (unsigned kind = 0; kind < BROKEN_KINDS; kind++)
		if (summary->broken[kind] > 0)
			printf("  %-20s %" PRIu64 "\n", broken_kind_name((enum broken_kind)kind),
			       summary->broken[kind]);
	for (uint32_t i = 0; i < summary->file_count; i++)
		printf("%s: %" PRIu64 " %s, %" PRId64 " bytes\n", summary->files[i].path, summary->files[i].bars,
		       noun(options), summary->files[i].bytes);
}

static bool is_server(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--listen") == 0 || strncmp(argv[i], "--listen=", 9) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	CLEANUP(generate_summary_release) struct generate_summary summary = { 0 };
	struct arguments arguments = {
		.options = {
			.bars = { .schema = dbn_schema_number(STR_LIT("ohlcv-1m")), .bars = 100000, .symbols = 50,
				  .start_day = clock_days((struct civil){ 2024, 1, 2 }), .seed = 1, .publisher_id = 2 },
			.dataset = "XNAS.ITCH",
			.files = 1,
		},
	};
	struct err err = ERR_INIT;
	int parsed;

	if (is_server(argc, argv))
		return serve(argc, argv);
	parsed = parse_arguments(&arguments, argc, argv, &err);
	if (parsed > 0) {
		if (parsed == OPTION_HELP)
			print_usage();
		else
			puts("penstock-simulator " PENSTOCK_VERSION);
		return EXIT_OK;
	}
	if (parsed < 0) {
		fprintf(stderr, "penstock-simulator: %s; see penstock-simulator --help\n", err.text);
		return EXIT_USAGE;
	}
	if (generate(&arguments.options, &summary, &err)) {
		fprintf(stderr, "penstock-simulator: %s\n", err.text);
		return err.kind == ERR_FATAL ? EXIT_USAGE : EXIT_FAILED;
	}
	if (arguments.json)
		print_json(&arguments.options, &summary);
	else
		print_text(&arguments.options, &summary);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}
