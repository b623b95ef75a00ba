#pragma once
/*
 * DBN's record types as tables: which there are, how long each is in each
 * version, and where its fields stand. What prints or maps all fields walks
 * these; the types that are loaded by the million have code of their own
 * (dbn_fill.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"
#include "stages/fetcher/formats/dbn.h"

enum dbn_kind {
	DBN_U8,
	DBN_U16,
	DBN_U32,
	DBN_U64,
	DBN_I8,
	DBN_I16,
	DBN_I32,
	DBN_I64,
	DBN_PRICE, /* int64_t in units of 1e-9; INT64_MAX: undefined */
	DBN_TIME,  /* uint64_t ns; UINT64_MAX: undefined */
	DBN_CHAR,  /* one character; NUL: none */
	DBN_TEXT,  /* up to its first NUL */
};

struct dbn_field {
	const char *name; /* as the vendor names it; twice where versions differ in more than the offset */
	uint8_t kind;
	uint16_t bytes;           /* DBN_TEXT */
	bool undef;               /* the greatest number of the kind means: undefined */
	uint16_t at[DBN_VERSION]; /* offset in the record, by version; 0: not in that version */
};

struct dbn_type {
	const char *name; /* of the schema it belongs to, else its own; NULL: DBN defines no such type */
	uint16_t schema;  /* UINT16_MAX: belongs to none */
	uint16_t bytes[DBN_VERSION];
	const struct dbn_field *fields; /* what follows the header; the last one has no name */
};

struct dbn_value {
	bool null;
	int64_t number;  /* DBN_U64 and DBN_TIME: its bits */
	struct str text; /* DBN_CHAR, DBN_TEXT: a part of the record */
};

/* NULL for a number DBN does not define. */
const struct dbn_type *dbn_type_of(uint8_t rtype);

/* False where that version has no such field, or the record is too short for it. */
bool dbn_field_read(const struct dbn_field *field, unsigned version, struct str record, struct dbn_value *ret);
