#pragma once
/*
 * Rows that a vendor no longer has. The orchestrator removes them
 * (etl.withdraw()), which needs to know the keys of all that an attempt
 * delivered: they are noted here, of attempts that are marked for it. And what
 * was read before such a removal does not come back by it: those rows of a
 * batch are as good as superseded.
 */
#include "stages/loader/merge.h"

struct withdrawn;

struct withdrawn *withdrawn_new(const struct table *table);
void withdrawn_freep(struct withdrawn **withdrawn);

/* Before anything of the batch is written: notes keys, and finds the rows that went. */
int withdrawn_find(struct withdrawn *withdrawn, struct pg *pg, const struct merge_batch *batch, struct err *err);
int64_t withdrawn_count(const struct withdrawn *withdrawn);
bool withdrawn_is(const struct withdrawn *withdrawn, int32_t sequence);

/* After all of it is written: ERR_RETRY where rows of its time went meanwhile, so that some may have come back. */
int withdrawn_check(struct withdrawn *withdrawn, struct pg *pg, const struct merge_batch *batch, struct err *err);
