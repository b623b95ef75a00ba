#include "ops/simulator/market/symbology.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"

#define VOLUME_ROLL_DAYS 8 /* v and n roll so long before c */

static void add_span(const struct resolution *r, struct resolved *to, const struct instrument *instrument,
		     int32_t first_day, int32_t end_day)
{
	if (first_day < instrument->first_day)
		first_day = instrument->first_day;
	if (end_day > instrument->end_day)
		end_day = instrument->end_day;
	if (first_day < r->first_day)
		first_day = r->first_day;
	if (end_day > r->end_day)
		end_day = r->end_day;
	if (!calendar_has_trading_day(first_day, end_day))
		return;
	if (to->count % 8 == 0)
		to->spans = mem_realloc(to->spans, to->count + 8, sizeof(*to->spans));
	to->spans[to->count++] = (struct span){ instrument, first_day, end_day };
}

/* --- one resolver per stype -------------------------------------------------------------------------------------- */

static void resolve_raw(const struct resolution *r, struct resolved *to)
{
	uint32_t first, count = instruments_by_raw(r->instruments, str_of(to->symbol), &first);

	for (uint32_t i = first; i < first + count; i++)
		add_span(r, to, &r->instruments->list[r->instruments->by_raw[i]], r->first_day, r->end_day);
}

static void resolve_parent(const struct resolution *r, struct resolved *to)
{
	for (uint32_t i = 0; i < r->instruments->count; i++)
		if (strcmp(r->instruments->list[i].parent, to->symbol) == 0)
			add_span(r, to, &r->instruments->list[i], r->first_day, r->end_day);
}

static void resolve_id(const struct resolution *r, struct resolved *to)
{
	char *end;
	unsigned long id = strtoul(to->symbol, &end, 10);
	const struct instrument *before = NULL;

	if (*end || id > UINT32_MAX)
		return;
	for (int32_t day = r->first_day; day < r->end_day; day++) {
		const struct instrument *now = instruments_by_id(r->instruments, (uint32_t)id, day);

		if (now && now == before)
			to->spans[to->count - 1].end_day = day + 1;
		else if (now && calendar_is_trading_day(day))
			add_span(r, to, now, day, day + 1);
		before = now && to->count > 0 && to->spans[to->count - 1].instrument == now ? now : NULL;
	}
}

/* ES.c.0: product, rule of the roll, rank. */
static bool parse_continuous(const char *symbol, struct str *ret_product, int32_t *ret_ahead_days, uint32_t *ret_rank)
{
	const char *dot = strchr(symbol, '.');

	if (!dot || !strchr("cvn", dot[1]) || dot[1] == '\0' || dot[2] != '.' || !isdigit((unsigned char)dot[3]) ||
	    dot[4] != '\0')
		return false;
	*ret_product = (struct str){ symbol, (uint32_t)(dot - symbol) };
	*ret_ahead_days = dot[1] == 'c' ? 0 : VOLUME_ROLL_DAYS;
	*ret_rank = (uint32_t)(dot[3] - '0');
	return true;
}

static void resolve_continuous(const struct resolution *r, struct resolved *to)
{
	const struct instrument *before = NULL;
	struct str product;
	int32_t ahead;
	uint32_t rank;

	if (!parse_continuous(to->symbol, &product, &ahead, &rank))
		return;
	for (int32_t day = r->first_day; day < r->end_day; day++) {
		const struct instrument *now = futures_ranked(r->instruments, product, rank, day + ahead);

		if (now && now == before) {
			to->spans[to->count - 1].end_day = day + 1;
			continue;
		}
		before = NULL;
		if (!now || !calendar_is_trading_day(day) || !instrument_is_listed(now, day))
			continue;
		add_span(r, to, now, day, day + 1);
		before = now;
	}
}

static const struct {
	enum stype stype;
	void (*resolve)(const struct resolution *resolution, struct resolved *to);
} resolvers[] = {
	{ STYPE_INSTRUMENT_ID, resolve_id },
	{ STYPE_RAW_SYMBOL, resolve_raw },
	{ STYPE_CONTINUOUS, resolve_continuous },
	{ STYPE_PARENT, resolve_parent },
};

/* --- the request's list ------------------------------------------------------------------------------------------ */

static enum found found_of(const struct resolution *r, const struct resolved *of)
{
	if (of->count == 0)
		return FOUND_NOT;
	if (r->stype_in == STYPE_PARENT)
		return FOUND_ALL;
	for (int32_t day = r->first_day; day < r->end_day; day++) {
		bool covered = !calendar_is_trading_day(day);

		for (uint32_t i = 0; i < of->count && !covered; i++)
			covered = day >= of->spans[i].first_day && day < of->spans[i].end_day;
		if (!covered)
			return FOUND_PARTIAL;
	}
	return FOUND_ALL;
}

static struct resolved *add_symbol(struct resolution *r, struct str symbol)
{
	struct resolved *added;

	if (r->count % 64 == 0)
		r->list = mem_realloc(r->list, r->count + 64, sizeof(*r->list));
	added = &r->list[r->count++];
	*added = (struct resolved){ .symbol = mem_strndup(symbol.data, symbol.len) };
	return added;
}

static bool is_known(const struct resolution *r, struct str symbol)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (str_eq(str_of(r->list[i].symbol), symbol))
			return true;
	return false;
}

static int add_symbols(struct resolution *r, struct str symbols, struct err *err)
{
	while (symbols.len > 0) {
		const char *comma = memchr(symbols.data, ',', symbols.len);
		uint32_t n = comma ? (uint32_t)(comma - symbols.data) : symbols.len;
		struct str symbol = { symbols.data, n };

		n += comma != NULL;
		symbols = (struct str){ symbols.data + n, symbols.len - n };
		if (symbol.len == 0 || is_known(r, symbol))
			continue;
		if (r->count == SYMBOLS_MAX)
			return err_set(err, ERR_RECORD, "more than %d symbols", SYMBOLS_MAX);
		add_symbol(r, symbol);
	}
	return r->count > 0 ? 0 : err_set(err, ERR_RECORD, "no symbols");
}

static void add_all(struct resolution *r)
{
	r->all = true;
	for (uint32_t i = 0; i < r->instruments->count; i++) {
		const struct instrument *instrument = &r->instruments->list[i];
		struct resolved one = { 0 };

		add_span(r, &one, instrument, r->first_day, r->end_day);
		if (one.count == 0)
			continue;
		one.symbol = add_symbol(r, str_of(instrument->raw))->symbol;
		r->list[r->count - 1] = one;
	}
}

int resolution_open(struct resolution *ret, const struct instruments *instruments, uint8_t stype_in, struct str symbols,
		    int32_t first_day, int32_t end_day, struct err *err)
{
	void (*resolve)(const struct resolution *, struct resolved *) = NULL;

	*ret = (struct resolution){ instruments, (enum stype)stype_in, first_day, end_day, NULL, 0, false };
	for (size_t i = 0; i < sizeof(resolvers) / sizeof(resolvers[0]); i++)
		if (resolvers[i].stype == (enum stype)stype_in)
			resolve = resolvers[i].resolve;
	if (!resolve)
		return err_set(err, ERR_RECORD, "symbols of this stype_in are not resolved here");
	if (str_eq(symbols, STR_LIT("ALL_SYMBOLS"))) {
		ret->stype_in = STYPE_RAW_SYMBOL;
		add_all(ret);
		return 0;
	}
	if (add_symbols(ret, symbols, err))
		return -1;
	for (uint32_t i = 0; i < ret->count; i++) {
		resolve(ret, &ret->list[i]);
		ret->list[i].found = found_of(ret, &ret->list[i]);
	}
	return 0;
}

void resolution_release(struct resolution *resolution)
{
	for (uint32_t i = 0; i < resolution->count; i++) {
		free(resolution->list[i].symbol);
		free(resolution->list[i].spans);
	}
	free(resolution->list);
	*resolution = (struct resolution){ 0 };
}

uint32_t resolution_count(const struct resolution *resolution, enum found found)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < resolution->count; i++)
		count += resolution->list[i].found == found;
	return count;
}

/* --- what streams are made of ------------------------------------------------------------------------------------ */

static struct series series_of(const struct resolution *r, const struct resolved *of, const struct span *span,
			       uint16_t publisher_id, uint64_t seed)
{
	return (struct series){
		.instrument = span->instrument,
		.label = r->stype_in == STYPE_PARENT ? span->instrument->raw : of->symbol,
		.publisher_id = publisher_id,
		.first_day = span->first_day,
		.end_day = span->end_day,
		.key = series_key(seed, r->instruments->dataset, publisher_id, span->instrument),
	};
}

struct series *resolution_series(const struct resolution *resolution, uint64_t seed, uint32_t *ret_count)
{
	const struct dataset *dataset = resolution->instruments->dataset;
	uint32_t count = 0, n = 0;
	struct series *list;

	for (uint32_t i = 0; i < resolution->count; i++)
		count += resolution->list[i].count * dataset->publisher_count;
	list = mem_zalloc(count + 1, sizeof(*list));
	for (uint32_t i = 0; i < resolution->count; i++)
		for (uint32_t s = 0; s < resolution->list[i].count; s++)
			for (uint32_t p = 0; p < dataset->publisher_count; p++)
				list[n++] = series_of(resolution, &resolution->list[i], &resolution->list[i].spans[s],
						      dataset->publishers[p].id, seed);
	*ret_count = n;
	return list;
}

bool span_next_id(const struct resolution *resolution, const struct span *span, int32_t *day, int32_t *ret_first,
		  int32_t *ret_end, uint32_t *ret_id)
{
	bool daily = resolution->instruments->dataset->kind == MARKET_EQUITIES;

	while (daily && *day < span->end_day && !calendar_is_trading_day(*day))
		++*day;
	if (*day >= span->end_day)
		return false;
	*ret_first = *day;
	*ret_end = daily ? *day + 1 : span->end_day;
	*ret_id = instruments_id(resolution->instruments, span->instrument, *day);
	*day = *ret_end;
	return true;
}
