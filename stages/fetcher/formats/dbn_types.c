#include "stages/fetcher/formats/dbn_types.h"

#include "common/bytes.h"
#include "stages/fetcher/formats/dbn_fields.h"

#define LEVEL(nn, at) \
	SAME(bid_px_##nn, PRICE, at), SAME(ask_px_##nn, PRICE, (at) + 8), SAME(bid_sz_##nn, U32, (at) + 16), \
		SAME(ask_sz_##nn, U32, (at) + 20), SAME(bid_ct_##nn, U32, (at) + 24), \
		SAME(ask_ct_##nn, U32, (at) + 28)
/* Of several venues: who has the best price, instead of how many orders. */
#define CONSOLIDATED_LEVEL \
	SAME(bid_px_00, PRICE, 48), SAME(ask_px_00, PRICE, 56), SAME(bid_sz_00, U32, 64), SAME(ask_sz_00, U32, 68), \
		SAME(bid_pb_00, U16, 72), SAME(ask_pb_00, U16, 76)
#define TRADE \
	SAME(price, PRICE, 16), SAME(size, U32, 24), SAME(action, CHAR, 28), SAME(side, CHAR, 29), \
		SAME(flags, U8, 30), SAME(depth, U8, 31), SAME(ts_recv, TIME, 32), SAME(ts_in_delta, I32, 40), \
		SAME(sequence, U32, 44)

static const struct dbn_field trade_fields[] = {
	TRADE,
	END,
};

static const struct dbn_field mbp1_fields[] = {
	TRADE,
	LEVEL(00, 48),
	END,
};

static const struct dbn_field mbp10_fields[] = {
	TRADE,          LEVEL(00, 48),  LEVEL(01, 80),  LEVEL(02, 112), LEVEL(03, 144), LEVEL(04, 176),
	LEVEL(05, 208), LEVEL(06, 240), LEVEL(07, 272), LEVEL(08, 304), LEVEL(09, 336), END,
};

static const struct dbn_field ohlcv_fields[] = {
	SAME(open, PRICE, 16),  SAME(high, PRICE, 24), SAME(low, PRICE, 32),
	SAME(close, PRICE, 40), SAME(volume, U64, 48), END,
};

static const struct dbn_field mbo_fields[] = {
	SAME(order_id, U64, 16),
	SAME(price, PRICE, 24),
	SAME(size, U32, 32),
	SAME(flags, U8, 36),
	SAME(channel_id, U8, 37),
	SAME(action, CHAR, 38),
	SAME(side, CHAR, 39),
	SAME(ts_recv, TIME, 40),
	SAME(ts_in_delta, I32, 48),
	SAME(sequence, U32, 52),
	END,
};

static const struct dbn_field bbo_fields[] = {
	SAME(price, PRICE, 16),  SAME(size, U32, 24),     SAME(side, CHAR, 29), SAME(flags, U8, 30),
	SAME(ts_recv, TIME, 32), SAME(sequence, U32, 44), LEVEL(00, 48),        END,
};

static const struct dbn_field cmbp1_fields[] = {
	SAME(price, PRICE, 16),     SAME(size, U32, 24), SAME(action, CHAR, 28),
	SAME(side, CHAR, 29),       SAME(flags, U8, 30), SAME(ts_recv, TIME, 32),
	SAME(ts_in_delta, I32, 40), CONSOLIDATED_LEVEL,  END,
};

static const struct dbn_field cbbo_fields[] = {
	SAME(price, PRICE, 16),
	SAME(size, U32, 24),
	SAME(side, CHAR, 29),
	SAME(flags, U8, 30),
	SAME(ts_recv, TIME, 32),
	CONSOLIDATED_LEVEL,
	END,
};

static const struct dbn_field status_fields[] = {
	SAME(ts_recv, TIME, 16),
	SAME(action, U16, 24),
	SAME(reason, U16, 26),
	SAME(trading_event, U16, 28),
	SAME(is_trading, CHAR, 30),
	SAME(is_quoting, CHAR, 31),
	SAME(is_short_sell_restricted, CHAR, 32),
	END,
};

static const struct dbn_field imbalance_fields[] = {
	SAME(ts_recv, TIME, 16),
	SAME(ref_price, PRICE, 24),
	SAME(auction_time, TIME, 32),
	SAME(cont_book_clr_price, PRICE, 40),
	SAME(auct_interest_clr_price, PRICE, 48),
	SAME(ssr_filling_price, PRICE, 56),
	SAME(ind_match_price, PRICE, 64),
	SAME(upper_collar, PRICE, 72),
	SAME(lower_collar, PRICE, 80),
	SAME(paired_qty, U32, 88),
	SAME(total_imbalance_qty, U32, 92),
	SAME(market_imbalance_qty, U32, 96),
	SAME(unpaired_qty, U32, 100),
	SAME(auction_type, CHAR, 104),
	SAME(side, CHAR, 105),
	SAME(auction_status, U8, 106),
	SAME(freeze_status, U8, 107),
	SAME(num_extensions, U8, 108),
	SAME(unpaired_side, CHAR, 109),
	SAME(significant_imbalance, CHAR, 110),
	END,
};

static const struct dbn_field statistics_fields[] = {
	SAME(ts_recv, TIME, 16),
	SAME(ts_ref, TIME, 24),
	SAME(price, PRICE, 32),
	UNDEF(quantity, I32, 40, 40, 0),
	UNDEF(quantity, I64, 0, 0, 40),
	EACH(sequence, U32, 44, 44, 48),
	EACH(ts_in_delta, I32, 48, 48, 52),
	EACH(stat_type, U16, 52, 52, 56),
	EACH(channel_id, U16, 54, 54, 58),
	EACH(update_action, U8, 56, 56, 60),
	EACH(stat_flags, U8, 57, 57, 61),
	END,
};

static const struct dbn_field error_fields[] = {
	TEXT(err, 64, 16, 0, 0),
	TEXT(err, 302, 0, 16, 16),
	EACH(code, U8, 0, 318, 318),
	EACH(is_last, U8, 0, 319, 319),
	END,
};

static const struct dbn_field system_fields[] = {
	TEXT(msg, 64, 16, 0, 0),
	TEXT(msg, 303, 0, 16, 16),
	EACH(code, U8, 0, 319, 319),
	END,
};

static const struct dbn_field symbol_mapping_fields[] = {
	EACH(stype_in, U8, 0, 16, 16),      TEXT(stype_in_symbol, 22, 16, 0, 0),  TEXT(stype_in_symbol, 71, 0, 17, 17),
	EACH(stype_out, U8, 0, 88, 88),     TEXT(stype_out_symbol, 22, 38, 0, 0), TEXT(stype_out_symbol, 71, 0, 89, 89),
	EACH(start_ts, TIME, 64, 160, 160), EACH(end_ts, TIME, 72, 168, 168),     END,
};

#define NO_SCHEMA UINT16_MAX
#define ALL(bytes) \
	{ \
		bytes, bytes, bytes \
	}

static const struct dbn_type types[256] = {
	[0x00] = { "trades", 4, ALL(48), trade_fields },
	[0x01] = { "mbp-1", 1, ALL(80), mbp1_fields },
	[0x0A] = { "mbp-10", 2, ALL(368), mbp10_fields },
	[0x11] = { "ohlcv-deprecated", NO_SCHEMA, ALL(56), ohlcv_fields },
	[0x12] = { "status", 11, ALL(40), status_fields },
	[0x13] = { "definition", 9, { 360, 400, 520 }, dbn_definition_fields },
	[0x14] = { "imbalance", 12, ALL(112), imbalance_fields },
	[0x15] = { "error", NO_SCHEMA, { 80, 320, 320 }, error_fields },
	[0x16] = { "symbol_mapping", NO_SCHEMA, { 80, 176, 176 }, symbol_mapping_fields },
	[0x17] = { "system", NO_SCHEMA, { 80, 320, 320 }, system_fields },
	[0x18] = { "statistics", 10, { 64, 64, 80 }, statistics_fields },
	[0x20] = { "ohlcv-1s", 5, ALL(56), ohlcv_fields },
	[0x21] = { "ohlcv-1m", 6, ALL(56), ohlcv_fields },
	[0x22] = { "ohlcv-1h", 7, ALL(56), ohlcv_fields },
	[0x23] = { "ohlcv-1d", 8, ALL(56), ohlcv_fields },
	[0x24] = { "ohlcv-eod", 13, ALL(56), ohlcv_fields },
	[0xA0] = { "mbo", 0, ALL(56), mbo_fields },
	[0xB1] = { "cmbp-1", 14, ALL(80), cmbp1_fields },
	[0xC0] = { "cbbo-1s", 15, ALL(80), cbbo_fields },
	[0xC1] = { "cbbo-1m", 16, ALL(80), cbbo_fields },
	[0xC2] = { "tcbbo", 17, ALL(80), cmbp1_fields },
	[0xC3] = { "bbo-1s", 18, ALL(80), bbo_fields },
	[0xC4] = { "bbo-1m", 19, ALL(80), bbo_fields },
};

const struct dbn_type *dbn_type_of(uint8_t rtype)
{
	return types[rtype].name ? &types[rtype] : NULL;
}

static int64_t read_number(struct bytes *in, enum dbn_kind kind)
{
	switch (kind) {
	case DBN_U8:
		return bytes_u8(in);
	case DBN_I8:
		return (int8_t)bytes_u8(in);
	case DBN_U16:
		return bytes_le16(in);
	case DBN_I16:
		return (int16_t)bytes_le16(in);
	case DBN_U32:
		return bytes_le32(in);
	case DBN_I32:
		return (int32_t)bytes_le32(in);
	default:
		return (int64_t)bytes_le64(in);
	}
}

/* What stands for "undefined" in fields that can be so. */
static int64_t undefined_number(enum dbn_kind kind)
{
	static const int64_t greatest[] = {
		[DBN_U8] = UINT8_MAX, [DBN_U16] = UINT16_MAX,  [DBN_U32] = UINT32_MAX, [DBN_U64] = -1,
		[DBN_I8] = INT8_MAX,  [DBN_I16] = INT16_MAX,   [DBN_I32] = INT32_MAX,  [DBN_I64] = INT64_MAX,
		[DBN_TIME] = -1,      [DBN_PRICE] = INT64_MAX,
	};

	return greatest[kind];
}

bool dbn_field_read(const struct dbn_field *field, unsigned version, struct str record, struct dbn_value *ret)
{
	struct bytes in = bytes_of(record.data, record.len);
	uint16_t at = field->at[version - 1];

	if (at == 0)
		return false;
	bytes_take(&in, at);
	*ret = (struct dbn_value){ false, 0, { "", 0 } };
	if (field->kind == DBN_TEXT || field->kind == DBN_CHAR) {
		ret->text = bytes_cstr(&in, field->kind == DBN_CHAR ? 1 : field->bytes);
		return !in.failed;
	}
	ret->number = read_number(&in, field->kind);
	if (field->undef || field->kind == DBN_PRICE || field->kind == DBN_TIME)
		ret->null = ret->number == undefined_number(field->kind);
	return !in.failed;
}
