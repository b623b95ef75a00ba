#include "stages/transformer/transform.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "stages/transformer/transform_internal.h"

int transform_open(struct transform **ret, struct err *err)
{
	CLEANUP(transform_freep) struct transform *t = mem_zalloc(1, sizeof(*t));

	for (unsigned id = 0; id < DATA_TYPES; id++)
		t->copies[id] = record_copy_new(data_types[id].raw, data_types[id].clean);
	if (market_open(&t->market, err))
		return -1;
	*ret = STEAL(t);
	return 0;
}

void transform_freep(struct transform **pointer)
{
	struct transform *t = *pointer;

	if (!t)
		return;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		record_copy_freep(&t->copies[id]);
	market_freep(&t->market);
	free(t);
	*pointer = NULL;
}

int transform_record(struct transform *t, enum data_type_id type, const void *in, void *out, struct err *err)
{
	record_copy_run(t->copies[type], in, out);
	switch (type) {
	case DATA_OHLCV:
		return transform_bar(t, in, out, err);
	case DATA_TRADES:
		return transform_trade(t, in, out, err);
	case DATA_TBBO:
		return transform_quoted_trade(t, in, out, err);
	case DATA_STATISTICS:
		return transform_statistic(t, in, out, err);
	case DATA_DEFINITION:
		return transform_definition(t, in, out, err);
	case DATA_SYMBOL_MAPPING:
	default:
		return transform_mapping(t, in, out, err);
	}
}
