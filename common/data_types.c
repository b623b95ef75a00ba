#include "common/data_types.h"

#include <string.h>

#include "schemas.h"

#define TYPE(name_, table_) \
	{ \
		.name = #name_, .raw = &name_##_type, .clean = &name_##_clean_type, \
		.topics = { "etl.raw." #name_, "etl.valid." #name_, "etl.clean." #name_ }, .table = (table_), \
	}

const struct data_type data_types[DATA_TYPES] = {
	[DATA_OHLCV] = TYPE(ohlcv, DATA_TABLE_OHLCV),
	[DATA_TRADES] = TYPE(trades, DATA_TABLE_TRADES),
	[DATA_TBBO] = TYPE(tbbo, DATA_TABLE_TBBO),
	[DATA_STATISTICS] = TYPE(statistics, DATA_TABLE_STATISTICS),
	[DATA_DEFINITION] = TYPE(definition, DATA_TABLE_DEFINITION),
	[DATA_SYMBOL_MAPPING] = TYPE(symbol_mapping, DATA_TABLE_SYMBOL_MAPPING),
};

const struct data_schema data_schemas[] = {
	{ "ohlcv-1s", DATA_OHLCV },
	{ "ohlcv-1m", DATA_OHLCV },
	{ "ohlcv-1h", DATA_OHLCV },
	{ "ohlcv-1d", DATA_OHLCV },
	{ "ohlcv-eod", DATA_OHLCV },
	{ "trades", DATA_TRADES },
	{ "tbbo", DATA_TBBO },
	{ "statistics", DATA_STATISTICS },
	{ "definition", DATA_DEFINITION },
	{ "symbol_mapping", DATA_SYMBOL_MAPPING },
	{ 0 },
};

const struct data_schema *data_schema_find(const char *name)
{
	for (const struct data_schema *s = data_schemas; s->name; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

enum data_type_id data_type_of(const struct record_type *raw)
{
	unsigned id = 0;

	while (id + 1 < DATA_TYPES && data_types[id].raw != raw)
		id++;
	return (enum data_type_id)id;
}

void data_topics_open(struct data_topics *topics, const struct topics *table, enum data_stage stage)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		topics->names[id] = topics_name(table, data_types[id].topics[stage]);
	topics->last = 0;
}

unsigned data_topics_find(struct data_topics *topics, const char *name)
{
	if (strcmp(topics->names[topics->last], name) == 0)
		return topics->last;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (strcmp(topics->names[id], name) == 0)
			return topics->last = id;
	return DATA_TYPES;
}
