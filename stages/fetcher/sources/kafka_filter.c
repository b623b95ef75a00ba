#include "stages/fetcher/sources/kafka_filter.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

const char *const kafka_fate_names[KAFKA_FATES] = {
	[KAFKA_PUT_BACK] = "records",
	[KAFKA_OTHER_SCHEMA] = "other_schemas",
	[KAFKA_OTHER_SYMBOL] = "other_symbols",
	[KAFKA_REPLAYED] = "replayed",
	[KAFKA_FOREIGN] = "foreign",
};

static int by_text(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	uint32_t n = x->len < y->len ? x->len : y->len;
	int order = n ? memcmp(x->data, y->data, n) : 0;

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static int by_number(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static unsigned schemas_of(enum data_type_id type)
{
	unsigned n = 0;

	for (const struct data_schema *s = data_schemas; s->name; s++)
		n += s->type == type;
	return n;
}

/* A raw record has the vendor's schema; a clean bar has its interval instead: what is behind the '-'. */
static void tell_schemas_apart(struct kafka_filter *filter, const struct data_schema *schema, enum data_stage stage)
{
	const struct data_type *type = &data_types[schema->type];
	const char *dash = strchr(schema->name, '-');

	if (schemas_of(schema->type) == 1)
		return;
	filter->type = stage == DATA_CLEAN ? type->clean : type->raw;
	filter->field = record_field_find(filter->type, stage == DATA_CLEAN ? STR_LIT("interval") : STR_LIT("schema"));
	filter->wanted = stage == DATA_CLEAN && dash ? dash + 1 : schema->name;
	filter->record = mem_zalloc(1, filter->type->size);
}

void kafka_filter_open(struct kafka_filter *ret, const struct data_schema *schema, enum data_stage stage,
		       char *const *symbols, size_t symbol_count, const int64_t *replays, size_t replay_count)
{
	*ret = (struct kafka_filter){ .symbol_count = symbol_count, .replay_count = replay_count };
	tell_schemas_apart(ret, schema, stage);
	ret->symbols = mem_zalloc(symbol_count + 1, sizeof(*ret->symbols));
	for (size_t i = 0; i < symbol_count; i++)
		ret->symbols[i] = str_of(symbols[i]);
	qsort(ret->symbols, symbol_count, sizeof(*ret->symbols), by_text);
	ret->replays = mem_zalloc(replay_count + 1, sizeof(*ret->replays));
	if (replay_count)
		memcpy(ret->replays, replays, replay_count * sizeof(*replays));
	qsort(ret->replays, replay_count, sizeof(*ret->replays), by_number);
}

void kafka_filter_release(struct kafka_filter *filter)
{
	free(filter->record);
	free(filter->symbols);
	free(filter->replays);
	*filter = (struct kafka_filter){ .type = NULL };
}

ssize_t kafka_filter_symbol(const struct kafka_filter *filter, struct str symbol)
{
	const struct str *found =
		bsearch(&symbol, filter->symbols, filter->symbol_count, sizeof(*filter->symbols), by_text);

	return found ? found - filter->symbols : -1;
}

static bool is_of_schema(struct kafka_filter *filter, struct str value)
{
	struct err ignored = ERR_INIT;

	return !filter->type || (record_decode(filter->type, filter->record, value, &ignored) == 0 &&
				 str_eq(record_string(filter->record, filter->field), str_of(filter->wanted)));
}

enum kafka_fate kafka_filter_judge(struct kafka_filter *filter, const struct kafka_message *m)
{
	struct lineage lineage;

	if (!record_lineage(m->value, &lineage))
		return KAFKA_FOREIGN;
	if (filter->symbol_count > 0 && kafka_filter_symbol(filter, m->key) < 0)
		return KAFKA_OTHER_SYMBOL;
	if (!is_of_schema(filter, m->value))
		return KAFKA_OTHER_SCHEMA;
	if (bsearch(&lineage.attempt, filter->replays, filter->replay_count, sizeof(*filter->replays), by_number))
		return KAFKA_REPLAYED;
	return KAFKA_PUT_BACK;
}
