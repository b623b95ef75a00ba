#pragma once
/*
 * Trading sessions: the date under which a dataset's venue books an instant.
 * A session begins at a time of the venue's wall clock, that day or the
 * evening before, and lasts to the beginning of the next, so that every
 * instant is in exactly one, also where clocks are changed.
 */
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

struct datasets;
struct dataset;

/* `name` stands in errors: stages/transformer/datasets.yaml has the format. */
int datasets_read(struct datasets **ret, const char *name, struct str yaml, struct err *err);
void datasets_freep(struct datasets **datasets);

/* NULL where it is not in the file. */
struct dataset *datasets_find(struct datasets *datasets, struct str name);

/* Days since 1970. Keeps the session it found for the next call. */
int32_t dataset_session(struct dataset *dataset, int64_t ts_ns);
