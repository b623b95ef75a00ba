#pragma once
/*
 * Records described by tables. schemas/gen makes, for every flat record in
 * schemas/avro, a struct whose first member is the presence bitmap and a
 * constant struct record_type; codec, JSON, rules and COPY all read that one
 * table. Strings are slices into the message they were decoded from and live
 * as long as it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/json_out.h"
#include "common/str.h"

enum field_type {
	FIELD_BOOL,    /* bool */
	FIELD_INT,     /* int32_t */
	FIELD_LONG,    /* int64_t */
	FIELD_STRING,  /* struct str */
	FIELD_DECIMAL, /* int64_t in units of 1e-9; Avro bytes/decimal(19,9) */
};

enum field_logical {
	LOGICAL_NONE,
	LOGICAL_TIMESTAMP_NANOS, /* of FIELD_LONG */
	LOGICAL_DATE,            /* of FIELD_INT */
};

#define FIELD_NOT_NULLABLE 0xFF

struct record_field {
	const char *name;
	enum field_type type;
	enum field_logical logical;
	uint16_t offset;     /* in the struct */
	uint8_t bit;         /* in the presence bitmap; FIELD_NOT_NULLABLE: it has none */
	bool nullable;       /* ["null", type] */
	uint8_t null_branch; /* which branch of the union is null: 0 or 1 */
};

struct codec_in;

struct record_type {
	const char *name;   /* "ohlcv" */
	const char *file;   /* "schemas/avro/ohlcv.avsc", embedded */
	uint32_t schema_id; /* from schemas/registry.lock */
	uint32_t size;      /* of the struct */
	uint8_t field_count, string_count;
	const struct record_field *fields;
	const uint8_t *strings; /* places of the fields that are strings */
	/* Written by schemas/gen.c (see record_codec.h). get: the place of the field that does not decode, else field_count. */
	uint8_t *(*put)(uint8_t *p, const void *record);
	unsigned (*get)(struct codec_in *in, void *record);
};

/*
 * An attempt's number: milliseconds since 1970, then random bits. So a number
 * from before the first one is no attempt, and bytes that happen to decode as
 * one are told apart.
 */
#define ATTEMPT_RANDOM_BITS 22
#define ATTEMPT_MIN (INT64_C(946684800000) << ATTEMPT_RANDOM_BITS) /* 2000-01-01 */

/* The fields of every data record, in this order at its head. */
struct lineage {
	int64_t attempt;
	int64_t ordinal;
	int64_t as_of; /* ns */
};

/* Bits of a data record's `flags`. */
enum record_flag {
	FLAG_ROUNDED = 1 << 0,       /* a float source's price, rounded to nine places */
	FLAG_RULE_VIOLATED = 1 << 1, /* a rule of severity `flag` was violated */
	FLAG_MARKET_CLOSED = 1 << 2, /* a bar that begins outside of its dataset's trading hours */
};

#define CONFLUENT_PREFIX 5 /* bytes: 0x00, schema id as big-endian u32 */

/* The field of that name, or NULL. */
const struct record_field *record_field_find(const struct record_type *type, struct str name);

static inline bool record_has(const void *record, const struct record_field *field)
{
	return !field->nullable || (*(const uint64_t *)record >> field->bit & 1);
}

static inline void record_set_present(void *record, unsigned bit, bool present)
{
	uint64_t *bitmap = record;

	*bitmap = (*bitmap & ~(UINT64_C(1) << bit)) | (uint64_t)present << bit;
}

/* Integer value of any field but a string. */
static inline int64_t record_number(const void *record, const struct record_field *field)
{
	const char *p = (const char *)record + field->offset;

	switch (field->type) {
	case FIELD_BOOL:
		return *(const bool *)p;
	case FIELD_INT:
		return *(const int32_t *)p;
	default:
		return *(const int64_t *)p;
	}
}

static inline struct str record_string(const void *record, const struct record_field *field)
{
	return *(const struct str *)((const char *)record + field->offset);
}

/* Appends framing and body. */
void record_encode(const struct record_type *type, const void *record, struct buf *out);

/*
 * Decodes one framed message of this type's schema. ERR_RECORD for anything
 * that is not framed, is cut short, has bytes left over, or has another schema
 * id: every schema is compiled in, so there is nobody who could explain it.
 */
int record_decode(const struct record_type *type, void *record, struct str message, struct err *err);

/* Lineage of a message of any data record, also where the rest does not decode; false: it has none. */
bool record_lineage(struct str message, struct lineage *ret_lineage);

/*
 * The message with another attempt and ordinal, all other bytes as they are; as_of, too. False: it has no lineage, or is too
 * large for the buffer.
 */
bool record_renumber(struct str message, int64_t attempt, int64_t ordinal, struct buf *out);

/* Schema id of a framed message, as the lock has it: 0 where there is no frame, FRAME_ID_UNKNOWN (frame_ids.h). */
uint32_t record_schema_id(struct str message);

/* One JSON object in field order; decimals exact as strings, timestamps as ISO text with nanoseconds. */
void record_json(const struct record_type *type, const void *record, struct json_out *out);

/* splitmix64's finaliser: what the ledger sums over ordinals (Steele, Lea, Flood, OOPSLA 2014). */
uint64_t record_mix(int64_t ordinal);
