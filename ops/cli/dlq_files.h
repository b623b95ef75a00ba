#pragma once
/* Dead letters as one file for each day, schema and class: 20240115_ohlcv_validation_failures.json. */
#include "common/config.h"
#include "common/err.h"

struct dlq_files_count {
	unsigned long long letters, files;
};

/*
 * Into an existing folder. A file is whole or is not there: one of the same
 * name is replaced once all that belongs to it is written.
 */
int dlq_files_export(const struct config *cfg, const char *query, const char *folder, struct dlq_files_count *ret,
		     struct err *err);
