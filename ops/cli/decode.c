#include "ops/cli/decode.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "ops/cli/decode_print.h"
#include "stages/fetcher/formats/dbn.h"

#define NAMED_RECORDS 10 /* bad ones of a file that are named one by one */

static const char usage[] =
	"usage: penstock decode [--metadata] FILE...\n"
	"\n"
	"Prints the records of DBN files (versions 1 to 3, plain or zstd) as JSON lines:\n"
	"all fields by the vendor's names, prices and nanoseconds exact, null where the\n"
	"vendor says undefined. A record that is not as its type should be is shown as\n"
	"its header and the rest in hexadecimal, and named on standard error.\n"
	"\n"
	"  --metadata  print one JSON object per file instead: dataset, schema, symbols, mappings, ...\n"
	"  --help      this text\n"
	"\n"
	"Exit codes: 0 done, 1 a file could not be read to its end or has bad records, 2 wrong arguments.\n";

/* The first ones each, of the others how many. */
static void name_bad(const char *path, const struct dbn_record *record, const struct err *why, uint64_t bad)
{
	if (bad <= NAMED_RECORDS)
		fprintf(stderr, "penstock decode: %s: record %" PRIu64 " at byte offset %" PRIu64 ": %s\n", path,
			record->number, record->byte_offset, why->text);
}

static int decode_records(struct output *out, const char *path, struct dbn_reader *reader, uint64_t *ret_bad,
			  struct err *err)
{
	struct err why = ERR_INIT;
	struct dbn_record record;
	int got;

	while (!out->closed && !out->failed) {
		got = dbn_next(reader, &record, err);
		if (got <= 0)
			return got;
		if (decode_put_record(out, reader, &record, &why))
			name_bad(path, &record, &why, ++*ret_bad);
	}
	return 0;
}

static int decode_file(struct output *out, const char *path, bool metadata_only, struct err *err)
{
	CLEANUP(dbn_freep) struct dbn_reader *reader = NULL;
	uint64_t bad = 0;
	int failed;

	if (dbn_open(&reader, path, err))
		return -1;
	if (metadata_only) {
		decode_put_metadata(out, dbn_metadata(reader));
		return 0;
	}
	failed = decode_records(out, path, reader, &bad, err);
	if (failed || bad == 0)
		return failed;
	return err_set(err, ERR_RECORD, "%s: %" PRIu64 " bad record%s", path, bad, bad == 1 ? "" : "s");
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

int command_decode(int argc, char **argv)
{
	CLEANUP(output_release) struct output out;
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	bool metadata_only = false, failed = false;
	int over = parse_options(argc, argv, &metadata_only);

	output_init(&out);
	if (over)
		return over - 1;
	sigaction(SIGPIPE, &ignore, NULL);
	for (int i = optind; i < argc && !out.closed && !out.failed; i++) {
		struct err err = ERR_INIT;
		int broken = decode_file(&out, argv[i], metadata_only, &err);

		output_flush(&out);
		if (broken)
			fprintf(stderr, "penstock decode: %s\n", err.text);
		failed |= broken != 0;
	}
	return failed || out.failed ? EXIT_FAILED : EXIT_OK;
}
