#pragma once
/*
 * The month partitions that a time-partitioned table needs, made before the
 * batch that needs them: DDL inside it would hold its locks as long. The same of compressed chunks that are to be opened.
 */
#include <stdint.h>

#include "common/pg.h"

/* Times that have a month: the years 1900 to 2261, in ns. */
#define MONTHS_FROM INT64_C(-2208988800000000000)
#define MONTHS_TO INT64_C(9214646400000000000)

struct months;

/* The table's name outlives it. */
struct months *months_new(const char *table);
void months_freep(struct months **months);

void months_note(struct months *months, int64_t ts_ns);

/* Another batch: what was noted is no more. */
void months_begin(struct months *months);

/* Looks again for every month that is noted from here on. */
void months_forget(struct months *months);

/* Makes what was noted and is not known to be there, each in a transaction of its own. */
int months_ensure(struct months *months, struct pg *pg, struct err *err);

/*
 * Of a hypertable: makes the compressed chunks plain ones that so many rows are for that it would be slow to write them there, or
 * all that rows are for.
 */
int months_unpack(struct months *months, struct pg *pg, bool all, struct err *err);
