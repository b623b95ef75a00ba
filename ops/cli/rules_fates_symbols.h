#pragma once
/* Counts by symbol for a tally of fates: a table that grows, up to a bound. */
#include "ops/cli/rules_fates.h"

struct fate_symbols *fate_symbols_new(void);
void fate_symbols_freep(struct fate_symbols **symbols);
void fate_symbols_count(struct fate_symbols *symbols, struct str name, enum fate_change change, int64_t records);
void fate_symbols_add(struct fate_symbols *symbols, const struct fate_symbols *other);
