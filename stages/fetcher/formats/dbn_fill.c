#include "stages/fetcher/formats/dbn_fill.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/bytes.h"

#define UNDEF_QUANTITY_32 INT32_MAX

#define BEGINS_WITH_HEAD(type) \
	_Static_assert(offsetof(struct type, attempt) == offsetof(union dbn_filled, head.lineage) && \
			       offsetof(struct type, symbol) == offsetof(union dbn_filled, head.symbol), \
		       #type " has another head")
BEGINS_WITH_HEAD(ohlcv);
BEGINS_WITH_HEAD(trades);
BEGINS_WITH_HEAD(tbbo);
BEGINS_WITH_HEAD(statistics);
BEGINS_WITH_HEAD(definition);

/* What every type has. Fields that no line here sets stay zero: dbn_fill() sees to it. */
#define PUT_HEAD(to, all_present, record, about) \
	do { \
		(to)->present = (all_present); \
		(to)->symbol = (about)->symbol; \
		(to)->schema = (about)->schema; \
		(to)->dataset = (about)->dataset; \
		(to)->publisher_id = (record)->publisher_id; \
		(to)->instrument_id = (record)->instrument_id; \
		(to)->ts_event = (about)->ts_event; \
	} while (0)

static struct bytes body_of(const struct dbn_record *record)
{
	struct bytes in = bytes_of(record->bytes.data, record->bytes.len);

	bytes_take(&in, DBN_HEADER_BYTES);
	return in;
}

static inline void put_price(void *record, unsigned bit, int64_t *field, int64_t price)
{
	bool known = price != DBN_UNDEF_PRICE;

	*field = known ? price : 0;
	record_set_present(record, bit, known);
}

static int fill_ohlcv(struct dbn_filler *filler, const struct dbn_record *record, const struct dbn_about *about,
		      struct err *why)
{
	struct ohlcv *bar = &filler->out.ohlcv;
	struct bytes in = body_of(record);
	uint64_t volume;

	PUT_HEAD(bar, OHLCV_PRESENT, record, about);
	put_price(bar, OHLCV_OPEN, &bar->open, (int64_t)bytes_le64(&in));
	put_price(bar, OHLCV_HIGH, &bar->high, (int64_t)bytes_le64(&in));
	put_price(bar, OHLCV_LOW, &bar->low, (int64_t)bytes_le64(&in));
	put_price(bar, OHLCV_CLOSE, &bar->close, (int64_t)bytes_le64(&in));
	volume = bytes_le64(&in);
	bar->volume = (int64_t)volume;
	if (volume > INT64_MAX)
		return err_set(why, ERR_RECORD, "volume %" PRIu64 " does not fit 63 bits", volume);
	return 0;
}

/* One character of text; NUL is none. */
static struct str take_char(struct bytes *in)
{
	const char *p = (const char *)bytes_take(in, 1);

	return p && *p ? (struct str){ p, 1 } : (struct str){ "", 0 };
}

/* What trades and tbbo have in common. */
struct trade_body {
	int64_t price;
	uint32_t size;
	struct str action, side;
	uint8_t flags, depth;
	int32_t ts_in_delta;
	uint32_t sequence;
};

static bool is_ascii(struct str text)
{
	return text.len == 0 || (uint8_t)text.data[0] < 0x80;
}

static int read_trade(struct bytes *in, struct trade_body *ret, struct err *why)
{
	ret->price = (int64_t)bytes_le64(in);
	ret->size = bytes_le32(in);
	ret->action = take_char(in);
	ret->side = take_char(in);
	ret->flags = bytes_u8(in);
	ret->depth = bytes_u8(in);
	bytes_take(in, 8); /* ts_recv, which the caller knows */
	ret->ts_in_delta = (int32_t)bytes_le32(in);
	ret->sequence = bytes_le32(in);
	if (is_ascii(ret->action) && is_ascii(ret->side))
		return 0;
	return err_set(why, ERR_RECORD, "%s is no character of ASCII", is_ascii(ret->action) ? "side" : "action");
}

static int32_t tie_of(struct dbn_filler *filler, const struct dbn_record *record, const struct dbn_about *about,
		      uint32_t sequence, uint64_t more)
{
	const struct tie_key key = {
		.symbol = about->symbol,
		.ts_event = about->ts_event,
		.sequence = sequence,
		.publisher_id = record->publisher_id,
		.kind = record->rtype,
		.more = more,
	};

	return ties_next(&filler->ties, about->ts_recv, &key);
}

/* Fields of the same names in both structs. */
#define PUT_TRADE(to, body) \
	do { \
		(to)->size = (body)->size; \
		(to)->side = (body)->side; \
		(to)->action = (body)->action; \
		(to)->depth = (body)->depth; \
		(to)->ts_in_delta = (body)->ts_in_delta; \
		(to)->vendor_flags = (body)->flags; \
		(to)->sequence = (body)->sequence; \
	} while (0)

static int fill_trades(struct dbn_filler *filler, const struct dbn_record *record, const struct dbn_about *about,
		       struct err *why)
{
	struct trades *trade = &filler->out.trades;
	struct bytes in = body_of(record);
	struct trade_body body;

	if (read_trade(&in, &body, why))
		return -1;
	PUT_HEAD(trade, TRADES_PRESENT, record, about);
	PUT_TRADE(trade, &body);
	trade->ts_recv = about->ts_recv;
	trade->tie = tie_of(filler, record, about, body.sequence, 0);
	put_price(trade, TRADES_PRICE, &trade->price, body.price);
	return 0;
}

static int fill_tbbo(struct dbn_filler *filler, const struct dbn_record *record, const struct dbn_about *about,
		     struct err *why)
{
	struct tbbo *trade = &filler->out.tbbo;
	struct bytes in = body_of(record);
	struct trade_body body;

	if (read_trade(&in, &body, why))
		return -1;
	PUT_HEAD(trade, TBBO_PRESENT, record, about);
	PUT_TRADE(trade, &body);
	trade->ts_recv = about->ts_recv;
	trade->tie = tie_of(filler, record, about, body.sequence, 0);
	put_price(trade, TBBO_PRICE, &trade->price, body.price);
	put_price(trade, TBBO_BID_PX_00, &trade->bid_px_00, (int64_t)bytes_le64(&in));
	put_price(trade, TBBO_ASK_PX_00, &trade->ask_px_00, (int64_t)bytes_le64(&in));
	trade->bid_sz_00 = bytes_le32(&in);
	trade->ask_sz_00 = bytes_le32(&in);
	trade->bid_ct_00 = bytes_le32(&in);
	trade->ask_ct_00 = bytes_le32(&in);
	return 0;
}

/* 64 bits since version 3. */
static void put_quantity(struct statistics *stat, struct bytes *in, unsigned version)
{
	int64_t quantity = version < 3 ? (int32_t)bytes_le32(in) : (int64_t)bytes_le64(in);
	bool known = quantity != (version < 3 ? UNDEF_QUANTITY_32 : INT64_MAX);

	stat->quantity = known ? quantity : 0;
	record_set_present(stat, STATISTICS_QUANTITY, known);
}

static int put_ts_ref(struct statistics *stat, uint64_t ns, struct err *why)
{
	bool known = ns != DBN_UNDEF_TIMESTAMP;

	if (known && ns > INT64_MAX)
		return err_set(why, ERR_RECORD, "ts_ref %" PRIu64 " is out of range", ns);
	stat->ts_ref = known ? (int64_t)ns : 0;
	record_set_present(stat, STATISTICS_TS_REF, known);
	return 0;
}

static int fill_statistics(struct dbn_filler *filler, const struct dbn_record *record, const struct dbn_about *about,
			   struct err *why)
{
	struct statistics *stat = &filler->out.statistics;
	struct bytes in = body_of(record);

	PUT_HEAD(stat, STATISTICS_PRESENT, record, about);
	record_set_present(stat, STATISTICS_TS_EVENT, about->ts_event_known);
	stat->ts_recv = about->ts_recv;
	bytes_take(&in, 8); /* ts_recv */
	if (put_ts_ref(stat, bytes_le64(&in), why))
		return -1;
	put_price(stat, STATISTICS_PRICE, &stat->price, (int64_t)bytes_le64(&in));
	put_quantity(stat, &in, filler->version);
	stat->sequence = bytes_le32(&in);
	stat->ts_in_delta = (int32_t)bytes_le32(&in);
	stat->stat_type = bytes_le16(&in);
	stat->channel_id = bytes_le16(&in);
	stat->update_action = bytes_u8(&in);
	stat->stat_flags = bytes_u8(&in);
	stat->tie = tie_of(filler, record, about, (uint32_t)stat->sequence,
			   (uint64_t)stat->stat_type << 16 | (uint64_t)stat->channel_id);
	return 0;
}

#define BAR(schema, rtype) \
	{ \
		schema, rtype, 0, false, false, &ohlcv_type, fill_ohlcv \
	}

const struct dbn_load dbn_loads[] = {
	BAR(5, DBN_OHLCV_1S),
	BAR(6, DBN_OHLCV_1M),
	BAR(7, DBN_OHLCV_1H),
	BAR(8, DBN_OHLCV_1D),
	BAR(13, DBN_OHLCV_EOD),
	{ 4, DBN_TRADE, 32, false, false, &trades_type, fill_trades },
	{ 3, DBN_MBP_1, 32, false, false, &tbbo_type, fill_tbbo },
	{ 10, DBN_STATISTICS, 16, true, false, &statistics_type, fill_statistics },
	{ 9, DBN_DEFINITION, 16, true, true, &definition_type, dbn_fill_definition },
};

const unsigned dbn_load_count = sizeof(dbn_loads) / sizeof(dbn_loads[0]);

int dbn_fill(struct dbn_filler *filler, const struct dbn_load *load, const struct dbn_record *record,
	     const struct dbn_about *about, struct err *why)
{
	if (filler->last != load) {
		memset(&filler->out, 0, sizeof(filler->out));
		filler->last = load;
	}
	return load->fill(filler, record, about, why);
}

void dbn_filler_release(struct dbn_filler *filler)
{
	ties_release(&filler->ties);
	free(filler->plan);
	filler->plan = NULL;
}
