#pragma once
/*
 * The fields of every record type, in the order of CSV and JSON, with their
 * places in DBN's versions 1, 2 and 3. One table drives all encoders and
 * metadata.list_fields.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "ops/simulator/records/record.h"

#define DBN_VERSIONS 3
#define LAYOUT_CONSTANT UINT16_MAX /* `from` of a field that is always `fill` */

enum field_kind { FIELD_NUMBER, FIELD_PRICE, FIELD_TIME, FIELD_CHAR, FIELD_TEXT, FIELD_QUANTITY };

struct field_place {
	uint16_t at, bytes; /* bytes 0: not in this version */
};

struct field {
	const char *name;
	const char *type; /* as list_fields says it */
	enum field_kind kind;
	uint16_t from; /* in struct record */
	int64_t fill;
	struct field_place places[DBN_VERSIONS];
};

struct layout {
	const struct field *fields;
	uint32_t count;
	uint16_t bytes[DBN_VERSIONS];
	uint32_t levels_from; /* the fields from here on are JSON's levels; UINT32_MAX: none */
};

extern const struct field header_fields[];
extern const uint32_t header_field_count;
#define DEFINITION_FIELDS 73
extern const struct field definition_fields[DEFINITION_FIELDS];

const struct layout *layout_find(uint16_t schema); /* NULL: not known here */
bool layout_has_ts_recv(uint16_t schema);

enum encoding { ENCODING_DBN, ENCODING_CSV, ENCODING_JSON };

struct text_style {
	bool pretty_price, pretty_time, symbols;
};

/* Appends one record. version: 1 to 3. */
void record_put_dbn(struct buf *buf, const struct record *record, const struct layout *layout, unsigned version);
void record_put_csv_head(struct buf *buf, const struct layout *layout, const struct text_style *style);
void record_put_csv(struct buf *buf, const struct record *record, const struct layout *layout,
		    const struct text_style *style);
void record_put_json(struct buf *buf, const struct record *record, const struct layout *layout,
		     const struct text_style *style);
