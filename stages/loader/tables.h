#pragma once
/* The table of every record type. */
#include "common/data_types.h"
#include "stages/loader/table.h"

extern const struct table_spec loader_tables[DATA_TYPES];
