#include "stages/transformer/market.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/embed.h"
#include "common/mem.h"
#include "stages/transformer/publisher.h"
#include "stages/transformer/session.h"
#include "stages/transformer/symbol.h"

#define PUBLISHERS_FILE "stages/transformer/publishers.yaml"
#define SHOWN_MAX 64 /* bytes of a value in an error */

struct market {
	struct datasets *datasets;
	struct sessions *sessions;
	struct publishers *publishers;
	char ticker[TICKER_MAX];
};

int market_open(struct market **ret, struct err *err)
{
	CLEANUP(market_freep) struct market *market = mem_zalloc(1, sizeof(*market));

	if (datasets_read(&market->datasets, DATASETS_FILE, embed_find(DATASETS_FILE), err) ||
	    sessions_open(&market->sessions, market->datasets, err) ||
	    publishers_read(&market->publishers, PUBLISHERS_FILE, embed_find(PUBLISHERS_FILE), err))
		return -1;
	*ret = STEAL(market);
	return 0;
}

void market_freep(struct market **market)
{
	if (!*market)
		return;
	sessions_freep(&(*market)->sessions);
	datasets_freep(&(*market)->datasets);
	publishers_freep(&(*market)->publishers);
	free(*market);
	*market = NULL;
}

static int find_ticker(struct market *market, struct str symbol, struct str *ret, struct err *err)
{
	struct str shown = { symbol.data, symbol.len < SHOWN_MAX ? symbol.len : SHOWN_MAX };

	*ret = symbol_ticker(symbol, market->ticker);
	if (ret->len > 0)
		return 0;
	if (symbol.len > TICKER_MAX)
		return err_set(err, ERR_RECORD, "symbol '%.*s…' is longer than %d bytes", STR_ARG(shown), TICKER_MAX);
	return err_set(err, ERR_RECORD, "symbol '%.*s' is blank", STR_ARG(shown));
}

int market_find(struct market *market, const struct market_query *query, struct market_place *ret, struct err *err)
{
	struct session *session = query->utc ? NULL : sessions_find(market->sessions, query->dataset);

	if (find_ticker(market, query->symbol, &ret->ticker, err))
		return -1;
	ret->venue = publishers_venue(market->publishers, query->publisher_id);
	ret->session_date = session ? session_date(session, query->ts) : clock_day_of(query->ts);
	ret->session_basis = session ? STR_LIT("session") : STR_LIT("utc");
	ret->closed = session && !session_is_open(session, query->ts);
	return 0;
}
