/* What is said about instruments, and no quote or trade of them. */
#include "stages/transformer/transform_internal.h"

#define NO_REFERENCE INT64_MIN /* of ts_ref, as schemas/avro/statistics_clean.avsc says */

int transform_statistic(struct transform *t, const struct statistics *in, struct statistics_clean *out, struct err *err)
{
	const struct market_query query = { in->symbol, in->dataset, in->publisher_id, in->ts_recv, false };
	struct market_place place;

	if (!(in->present >> STATISTICS_TS_REF & 1))
		out->ts_ref = NO_REFERENCE;
	if (market_find(t->market, &query, &place, err))
		return -1;
	TRANSFORM_PUT_PLACE(out, place, STATISTICS_CLEAN_VENUE);
	return 0;
}

int transform_definition(struct transform *t, const struct definition *in, struct definition_clean *out,
			 struct err *err)
{
	const struct market_query query = { in->symbol, in->dataset, in->publisher_id, in->ts_recv, false };
	struct market_place place;

	if (market_find(t->market, &query, &place, err))
		return -1;
	TRANSFORM_PUT_PLACE(out, place, DEFINITION_CLEAN_VENUE);
	return 0;
}

int transform_mapping(struct transform *t, const struct symbol_mapping *in, struct symbol_mapping_clean *out,
		      struct err *err)
{
	(void)t;
	(void)err;
	out->input_symbol = in->symbol;
	return 0;
}
