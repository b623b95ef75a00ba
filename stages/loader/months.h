#pragma once
/*
 * The month partitions that a time-partitioned table needs, made before the
 * batch that needs them: DDL inside it would hold its locks as long.
 */
#include <stdint.h>

#include "common/pg.h"

struct months;

/* The table's name outlives it. */
struct months *months_new(const char *table);
void months_freep(struct months **months);

void months_note(struct months *months, int64_t ts_ns);

/* Makes what was noted and is not known to be there, each in a transaction of its own. */
int months_ensure(struct months *months, struct pg *pg, struct err *err);
