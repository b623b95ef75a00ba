/*
 * decode FILE [DATASET SCHEMA]: what reading a file into records costs, alone.
 * Prints records, what else there was, this process's CPU seconds, and its
 * peak memory, as JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/file_source.h"

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of this program only: what getrusage() says begins with the one that started it. 0 where there is no /proc. */
static long peak_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static int read_all(struct source *source, uint64_t counts[SOURCE_END + 1], struct err *err)
{
	struct source_item item = { .kind = SOURCE_SKIPPED };

	while (item.kind != SOURCE_END) {
		if (source_next(source, &item, err))
			return -1;
		counts[item.kind]++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct fetch_task task = {
		.source = (char *)"file",
		.path = argc > 1 ? argv[1] : (char *)"",
		.dataset = argc > 3 ? argv[2] : (char *)"",
		.schema = argc > 3 ? argv[3] : (char *)"",
	};
	uint64_t counts[SOURCE_END + 1] = { 0 };
	struct source *source = NULL;
	struct err err = ERR_INIT;
	double started = cpu_seconds();

	if (file_source_open(&source, &task, &err) || read_all(source, counts, &err)) {
		fprintf(stderr, "%s\n", err.text);
		source_freep(&source);
		return EXIT_FAILURE;
	}
	source_freep(&source);
	printf("{\"records\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"skipped\": %" PRIu64
	       ", \"cpu_seconds\": %.6f, \"peak_kib\": %ld}\n",
	       counts[SOURCE_RECORD], counts[SOURCE_REFUSED], counts[SOURCE_SKIPPED], cpu_seconds() - started,
	       peak_kib());
	return EXIT_SUCCESS;
}
