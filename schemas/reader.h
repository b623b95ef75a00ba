#pragma once
/*
 * Reads Avro schemas (.avsc) with jansson: flat records whose fields are
 * scalar or ["null", scalar]. Also makes the parsing canonical form and its
 * CRC-64-AVRO fingerprint (Avro 1.11 specification, "Parsing
 * Canonical Form for Schemas" and "Schema Fingerprints").
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define SCHEMA_FIELDS_MAX 128

struct schema_field {
	const char *name;
	const char *type;    /* "long", "string", "bytes", … */
	const char *logical; /* "" where there is none */
	const char *doc;
	int precision, scale;
	bool nullable;
	int null_branch;
	bool flat; /* a scalar the codec knows, or a union of null and one */
};

struct schema {
	json_t *json; /* owns all texts */
	const char *name;
	const char *doc;
	struct schema_field fields[SCHEMA_FIELDS_MAX];
	int field_count;
	bool flat; /* every field is */
};

#define SCHEMA_INIT \
	{ \
		.json = NULL \
	}

int schema_read(struct schema *schema, const char *path, struct err *err);
void schema_release(struct schema *schema);

/* Parsing canonical form; owned by the caller (free). */
char *schema_canonical(const json_t *schema);

uint64_t schema_fingerprint(const char *canonical);
