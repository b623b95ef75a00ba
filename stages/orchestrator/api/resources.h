#pragma once
/*
 * What the API answers from the database: one file each, resources/NAME.sql,
 * compiled into the binary. A file begins with comments that say what it is,
 * and is SQL from there on:
 *
 *   -- Records that were refused, the newest first.
 *   -- path: /api/v1/dead-letters/{id}
 *   -- list: dead_letters          the member that holds the rows; without it the answer is the one row
 *   -- missing: there is no dead letter {id}     what a 404 says where there is no row
 *   -- role: viewer                who may ask; a viewer where nothing is said
 *   -- stream: bars                file name of a long answer, sent as it is read; ?format=csv instead of JSON
 *   -- cursor: id                  members that tell a row's place; the next page begins behind them
 *   -- limit: 50 500               rows of a page: as a rule, at most
 *   -- class text: of this class only: decode_errors, api_errors, …
 *   -- symbol text!: …             without it the request is refused
 *   -- by day|symbol = day: …      one of these words, with what it is where nothing is said
 *   -- span: start, end            two dates of the parameters above, the first not behind the second
 *
 * An empty comment ends that. In the SQL {class} is a parameter, null where the request does not have it;
 * {after_id} is the cursor's, {limit} the page's size. Columns are the members
 * of the JSON objects, in their order.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/str.h"

#define RESOURCE_PARAMETERS_MAX 16
#define RESOURCE_CURSOR_MAX 5

enum resource_type { RESOURCE_TEXT, RESOURCE_INTEGER, RESOURCE_DATE, RESOURCE_TIME, RESOURCE_FLAG, RESOURCE_CHOICE };

struct resource_parameter {
	char *name, *doc;
	enum resource_type type;
	char *choices;  /* of a choice: "day|symbol" */
	char *fallback; /* where nothing is said; NULL: null */
	bool in_path, required;
};

struct resource {
	const char *name; /* "dead_letters", owned */
	char *doc, *path, *list, *missing, *role, *stream;
	struct resource_parameter parameters[RESOURCE_PARAMETERS_MAX];
	unsigned parameter_count;
	unsigned span[2]; /* numbers of parameters, from 1; 0: none */
	char *cursor[RESOURCE_CURSOR_MAX];
	unsigned cursor_count;
	int64_t limit, limit_max; /* 0: no {limit} */
	char *sql;                /* with $1, …: the parameters, the cursor's, the limit */
};

struct resources {
	struct resource *items;
	unsigned count;
};

#define RESOURCES_INIT \
	{ \
		.items = NULL \
	}

/* Reads all that are compiled in; ERR_FATAL names file and line. */
int resources_open(struct resources *resources, struct err *err);
void resources_release(struct resources *resources);

/* One file's text, as if it were resources/NAME.sql. */
int resource_parse(struct resource *ret, const char *name, struct str text, struct err *err);
void resource_release(struct resource *resource);

/* NULL: there is no such file. */
const struct resource *resources_find(const struct resources *resources, const char *name);

/* The resource whose path the request's is, with the values of what stands in braces there, in the order of the parameters. */
struct resource_match {
	const struct resource *resource;
	struct str values[RESOURCE_PARAMETERS_MAX]; /* of those in the path; data NULL: not in it */
};
bool resources_match(const struct resources *resources, const char *path, struct resource_match *ret);

/* *ret: the text that the database takes for a value; false: it is none of the parameter's type. */
bool resource_value(const struct resource_parameter *parameter, struct str text, struct buf *ret);

/* "a number", "a date such as 2024-01-31": for messages. */
void resource_type_text(const struct resource_parameter *parameter, struct buf *out);

/* A row's place as a word of letters, digits, '-' and '_', and back; false: it is none of this resource. */
void resource_cursor_put(const struct resource *resource, const char *const *values, struct buf *out);
bool resource_cursor_get(const struct resource *resource, struct str cursor, struct buf *storage,
			 const char **ret_values);
