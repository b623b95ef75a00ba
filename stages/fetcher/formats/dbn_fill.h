#pragma once
/*
 * DBN's records into ours: bars, trades, tbbo and statistics field by field,
 * definitions by the table of their fields. Slices of what is filled in point
 * into the record and into what the caller named.
 */
#include <stdbool.h>

#include "common/err.h"
#include "common/record.h"
#include "schemas.h"
#include "stages/fetcher/formats/dbn.h"
#include "stages/fetcher/formats/ties.h"

union dbn_filled {
	struct {
		uint64_t present;
		struct lineage lineage;
		struct str symbol;
	} head; /* all of them begin with it */
	struct ohlcv ohlcv;
	struct trades trades;
	struct tbbo tbbo;
	struct statistics statistics;
	struct definition definition;
};

/* What was found out about a record before it is filled in. */
struct dbn_about {
	struct str schema, symbol, dataset;
	int64_t ts_event; /* 0 where it is not known */
	bool ts_event_known;
	int64_t ts_recv; /* 0 where the type has none */
};

struct dbn_definition_plan;
struct dbn_load;

struct dbn_filler {
	unsigned version;
	struct ties ties;
	struct dbn_definition_plan *plan; /* made by the first definition */
	const struct dbn_load *last;      /* whose record `out` holds */
	union dbn_filled out;
};

/* One schema that is loaded. */
struct dbn_load {
	uint16_t schema;
	uint8_t rtype;
	uint8_t recv_at;        /* where ts_recv stands in the record; 0: the type has none */
	bool ts_event_optional; /* 0 and undefined mean: not said */
	bool names_itself;      /* needs no symbol from a mapping */
	const struct record_type *type;
	/* Of a record of the right length: dbn_fill() calls it. */
	int (*fill)(struct dbn_filler *filler, const struct dbn_record *record, const struct dbn_about *about,
		    struct err *why);
};

#define DBN_LOADED "ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d, ohlcv-eod, trades, tbbo, statistics, definition"

extern const struct dbn_load dbn_loads[];
extern const unsigned dbn_load_count;

/* Makes `out` of a record of the right length; -1 with the reason why it cannot. */
int dbn_fill(struct dbn_filler *filler, const struct dbn_load *load, const struct dbn_record *record,
	     const struct dbn_about *about, struct err *why);

/* One of the loads' functions. */
int dbn_fill_definition(struct dbn_filler *filler, const struct dbn_record *record, const struct dbn_about *about,
			struct err *why);

void dbn_filler_release(struct dbn_filler *filler);
