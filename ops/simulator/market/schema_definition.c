/* Definitions: a snapshot at midnight, of what was published some hours before. */
#include "common/decimal.h"
#include "ops/simulator/market/schemas.h"

#define RTYPE_DEFINITION 0x13
#define PUBLISHED_NS (2 * HOUR_NS + 5 * MINUTE_NS) /* before midnight */
#define EXPIRES_NS (21 * HOUR_NS)
#define UNDEF_TIME INT64_C(-1) /* 2^64 - 1 */

static const struct {
	char instrument_class;
	const char *cfi, *security_type, *unit;
	int64_t quantity;
	int64_t multiplier;
} classes[] = {
	{ 'K', "ESXXXX", "CS", "", INT64_MAX, INT32_MAX },
	{ 'F', "FXXXXX", "FUT", "IPNT", 50 * DECIMAL_ONE, INT32_MAX },
	{ 'C', "OCASPS", "OPT", "", INT64_MAX, 100 },
	{ 'P', "OPASPS", "OPT", "", INT64_MAX, 100 },
};

static void put_class(struct record_definition *d, const struct instrument *i)
{
	for (size_t c = 0; c < sizeof(classes) / sizeof(classes[0]); c++) {
		if (classes[c].instrument_class != i->instrument_class)
			continue;
		d->cfi = classes[c].cfi;
		d->security_type = classes[c].security_type;
		d->unit = classes[c].unit;
		d->quantity = classes[c].quantity;
		d->multiplier = classes[c].multiplier;
	}
}

static void put_life(struct record_definition *d, const struct instrument *i)
{
	struct civil end = clock_civil(i->expiry_day);

	d->activation = d->expiration = UNDEF_TIME;
	d->maturity_year = UINT16_MAX;
	d->maturity_month = d->maturity_day = UINT8_MAX;
	if (i->expiry_day == 0)
		return;
	d->activation = i->first_day * NS_PER_DAY;
	d->expiration = i->expiry_day * NS_PER_DAY + EXPIRES_NS;
	d->maturity_year = end.year;
	d->maturity_month = end.month;
	d->maturity_day = end.day;
}

void definition_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	const struct instrument *i = series->instrument;
	const struct dataset *dataset = market->dataset;
	const struct publisher *publisher = &dataset->publishers[dataset->publisher_count - 1];
	struct record *record;

	if (series->publisher_id != publisher->id) /* one for all venues */
		return;
	if (history_revision(market->history, i->raw, slot) < 0)
		return;
	record = batch_add(batch, market, series, slot);
	record->rtype = RTYPE_DEFINITION;
	record->ts_event = slot - PUBLISHED_NS;
	record->definition = (struct record_definition){
		.raw_symbol = i->raw,
		.currency = "USD",
		.exchange = publisher->venue,
		.asset = i->asset,
		.underlying = i->strike == INT64_MAX ? "" : i->asset,
		.instrument_class = i->instrument_class,
		.tick = i->tick,
		.strike = i->strike,
	};
	put_class(&record->definition, i);
	put_life(&record->definition, i);
}
