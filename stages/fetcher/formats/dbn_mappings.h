#pragma once
/* What a file's metadata says about symbols, as records: one for each input symbol and interval. */
#include <stdbool.h>
#include <stdint.h>

#include "schemas.h"
#include "stages/fetcher/formats/dbn.h"

struct dbn_mappings {
	uint32_t mapping, interval; /* the next one */
	struct symbol_mapping out;
};

/* False: there are no more. An interval without an output symbol maps nothing and gives none. */
bool dbn_mappings_next(struct dbn_mappings *mappings, const struct dbn_metadata *metadata);
