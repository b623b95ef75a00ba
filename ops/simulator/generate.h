#pragma once
/* Files of made-up records: generation and writing put together. What is said of bars holds for records of every schema. */
#include "common/err.h"
#include "common/str.h"
#include "ops/simulator/bars.h"

struct generate_options {
	struct bars_options bars;
	const char *dataset;
	const char *path;
	uint32_t
		files; /* more than one: days are shared out, or records where there are more files; names get a number */
};

struct generated_file {
	char *path;
	uint64_t bars;
	int64_t bytes;
};

struct generate_summary {
	uint64_t bars;
	uint64_t broken[BROKEN_KINDS];
	int64_t first, last; /* ns; of the bars whose time is not broken */
	int64_t bytes;
	struct generated_file *files;
	uint32_t file_count;
};

/* ERR_FATAL: the options do not go together; ERR_RETRY: a file could not be written, and which. Files that were complete before an error stay. */
int generate(const struct generate_options *options, struct generate_summary *ret, struct err *err);
void generate_summary_release(struct generate_summary *summary);
