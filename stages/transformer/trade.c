#include "stages/transformer/transform_internal.h"

/*
 * Whose trade it was, in one set of names for all vendors. Databento names the
 * side of the book that the aggressor hit or lifted orders from by the
 * aggressor himself: A(sk) sold, B(id) bought, N: not specified.
 */
static int find_side(struct str vendor_side, struct str *ret, struct err *err)
{
	static const struct {
		struct str vendor, ours;
	} sides[] = {
		{ STR_LIT("A"), STR_LIT("S") }, { STR_LIT("B"), STR_LIT("B") }, { STR_LIT("N"), STR_LIT("N") },
		{ STR_LIT("S"), STR_LIT("S") }, { STR_LIT(""), STR_LIT("N") },
	};

	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
		if (str_eq(sides[i].vendor, vendor_side)) {
			*ret = sides[i].ours;
			return 0;
		}
	return err_set(err, ERR_RECORD, "side '%.*s' is none of A, B, N, S", STR_ARG(transform_shown(vendor_side)));
}

/* tbbo has the same fields, and more. */
#define TRANSFORM_TRADE(t, in, out, PRICE, VENUE, err) \
	do { \
		const struct market_query query = { (in)->symbol, (in)->dataset, (in)->publisher_id, (in)->ts_event, \
						    false }; \
		struct market_place place; \
\
		if (!((in)->present >> (PRICE)&1)) \
			return err_set(err, ERR_RECORD, "price is null"); \
		(out)->vendor_side = (in)->side; \
		if (find_side((in)->side, &(out)->side, err) || market_find((t)->market, &query, &place, err)) \
			return -1; \
		TRANSFORM_PUT_PLACE(out, place, VENUE); \
		return 0; \
	} while (0)

int transform_trade(struct transform *t, const struct trades *in, struct trades_clean *out, struct err *err)
{
	TRANSFORM_TRADE(t, in, out, TRADES_PRICE, TRADES_CLEAN_VENUE, err);
}

int transform_quoted_trade(struct transform *t, const struct tbbo *in, struct tbbo_clean *out, struct err *err)
{
	TRANSFORM_TRADE(t, in, out, TBBO_PRICE, TBBO_CLEAN_VENUE, err);
}
