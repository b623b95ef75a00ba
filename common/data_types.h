#pragma once
/*
 * The record types that pass the pipeline: for each a raw record, as the
 * vendor said it, a clean one in the shape of its table, and three topics.
 * Only this table lists them; schemas/avro has their fields, topics/topics.yaml
 * their topics' settings.
 */
#include "common/record.h"
#include "common/topics.h"

enum data_type_id {
	DATA_OHLCV,
	DATA_TRADES,
	DATA_TBBO,
	DATA_STATISTICS,
	DATA_DEFINITION,
	DATA_SYMBOL_MAPPING,
	DATA_TYPES,
};

/* Their tables. */
#define DATA_TABLE_OHLCV "ohlcv_data"
#define DATA_TABLE_TRADES "trades_data"
#define DATA_TABLE_TBBO "tbbo_data"
#define DATA_TABLE_STATISTICS "statistics_data"
#define DATA_TABLE_DEFINITION "definitions_data"
#define DATA_TABLE_SYMBOL_MAPPING "symbol_mappings"

/* Stages of a record on its way, each with a topic of every type. */
enum data_stage { DATA_RAW, DATA_VALID, DATA_CLEAN, DATA_STAGES };

struct data_type {
	const char *name; /* "trades" */
	const struct record_type *raw, *clean;
	const char *topics[DATA_STAGES]; /* base names: "etl.raw.trades" */
	const char *table;               /* "trades_data" */
};

extern const struct data_type data_types[DATA_TYPES];

/*
 * The vendor's schemas that can be loaded, with the type that their records become; ends with a NULL name.
 * symbol_mapping is none that the vendor sells: its symbology.resolve answers with them.
 */
struct data_schema {
	const char *name; /* "ohlcv-1m" */
	enum data_type_id type;
};

extern const struct data_schema data_schemas[];

/* NULL: it cannot be loaded. */
const struct data_schema *data_schema_find(const char *name);

/* The type that this is the raw record of. */
enum data_type_id data_type_of(const struct record_type *raw);

/* The topics of one stage by type, with the prefix. */
struct data_topics {
	const char *names[DATA_TYPES];
	unsigned last; /* what was found last: messages of a topic come together */
};

void data_topics_open(struct data_topics *topics, const struct topics *table, enum data_stage stage);

/* Which type's topic it is; DATA_TYPES: none's. */
unsigned data_topics_find(struct data_topics *topics, const char *name);
