#pragma once
/* The inside of transform.h: one function for each record type. */
#include "common/record_copy.h"
#include "stages/transformer/market.h"
#include "stages/transformer/transform.h"

struct transform {
	struct market *market;
	struct record_copy *copies[DATA_TYPES]; /* of what raw and clean have in common */
};

#define TRANSFORM_SHOWN_MAX 64

/* For "%.*s" in an error, which has no room for more. */
static inline struct str transform_shown(struct str s)
{
	return (struct str){ s.data, s.len < TRANSFORM_SHOWN_MAX ? s.len : TRANSFORM_SHOWN_MAX };
}

/* The fields that every row of a market has, from what was found; VENUE: their bit of presence. */
#define TRANSFORM_PUT_PLACE(out, place, VENUE) \
	do { \
		(out)->ticker = (place).ticker; \
		(out)->venue = (place).venue; \
		(out)->session_date = (place).session_date; \
		(out)->session_basis = (place).session_basis; \
		record_set_present(out, VENUE, (place).venue.len > 0); \
	} while (0)

int transform_bar(struct transform *t, const struct ohlcv *in, struct ohlcv_clean *out, struct err *err);
int transform_trade(struct transform *t, const struct trades *in, struct trades_clean *out, struct err *err);
int transform_quoted_trade(struct transform *t, const struct tbbo *in, struct tbbo_clean *out, struct err *err);
int transform_statistic(struct transform *t, const struct statistics *in, struct statistics_clean *out,
			struct err *err);
int transform_definition(struct transform *t, const struct definition *in, struct definition_clean *out,
			 struct err *err);
int transform_mapping(struct transform *t, const struct symbol_mapping *in, struct symbol_mapping_clean *out,
		      struct err *err);
