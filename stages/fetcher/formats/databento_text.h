#pragma once
/*
 * What Databento's CSV and JSON encodings have in common. Each value's text
 * is put where DBN has its field, so that a record becomes the same bytes as
 * in a DBN file (version 3, or 2 for what only older ones say), and these
 * become one of our records in the same way.
 *
 * A file's prices are either all raw (units of 1e-9) or all pretty (with a
 * point); one of the other kind is refused, as it would be another price by a
 * factor of 1e9. Neither encoding names its dataset, so the task does.
 */
#include "common/control.h"
#include "stages/fetcher/formats/dbn_fill.h"
#include "stages/fetcher/formats/dbn_types.h"
#include "stages/fetcher/formats/symbol_shelf.h"
#include "stages/fetcher/source.h"

#define DATABENTO_FIELDS_MAX 96
#define DATABENTO_SYMBOL_MAX 256 /* bytes */

struct databento_field {
	const char *name;
	enum dbn_kind kind;
	uint16_t at, bytes; /* in the record; bytes of a text */
	bool required;      /* every version has it */
};

struct databento_text {
	char *dataset;
	uint8_t rtype; /* whose fields these are; bars of all intervals have the same */
	unsigned version;
	struct databento_field fields[DATABENTO_FIELDS_MAX];
	unsigned field_count;
	uint16_t bytes; /* of a record */
	uint8_t blank[DBN_RECORD_MAX], record[DBN_RECORD_MAX];
	const struct dbn_load *load; /* NULL: neither task nor record has said a schema yet */
	enum { PRICES_UNKNOWN, PRICES_RAW, PRICES_PRETTY } prices;
	struct dbn_filler filler;
	struct dbn_about about;
	struct symbol_shelf shelf;
};

/* The task's dataset and schema. */
int databento_text_open(struct databento_text *self, const struct fetch_task *task, struct err *err);
void databento_text_release(struct databento_text *self);

/* Its fields; the rtype's schema is one that is loaded. */
void databento_text_fields(struct databento_text *self, uint8_t rtype, unsigned version);

/* The index of the field of that name; -1: there is none. */
int databento_text_find(const struct databento_text *self, struct str name);

/* A new record. */
void databento_text_begin(struct databento_text *self);

/* One value; empty: none. -1 with the reason why the record cannot be read. */
int databento_text_put(struct databento_text *self, unsigned field, struct str text, struct err *why);

/* The first record says its schema where the task does not. -1: it is none that can be loaded from here. */
int databento_text_settle(struct databento_text *self, struct err *why);

/*
 * The record as an item: SOURCE_RECORD, or SOURCE_SKIPPED where it is of
 * another schema than the file. -1 with the reason why it is to be refused.
 * Schema, symbol and ts_event are set where they are known, in any case.
 */
int databento_text_fill(struct databento_text *self, struct str symbol, struct source_item *ret_item, struct err *why);
