#pragma once
/*
 * Writes JSON text into a buffer, commas and quotes included. Bytes that are
 * no UTF-8, and NUL, become U+FFFD, so that what comes out always parses (also
 * as PostgreSQL's jsonb, which knows no NUL).
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

struct json_out {
	struct buf *buf;
	bool comma; /* the next value needs a comma before it */
};

#define JSON_OUT(buffer) \
	{ \
		.buf = (buffer) \
	}

void json_put_open(struct json_out *out, char bracket);  /* '{' or '[' */
void json_put_close(struct json_out *out, char bracket); /* '}' or ']' */
void json_put_key(struct json_out *out, const char *key);

void json_put_str(struct json_out *out, struct str value);
void json_put_int(struct json_out *out, int64_t value);
void json_put_uint(struct json_out *out, uint64_t value);
void json_put_bool(struct json_out *out, bool value);
void json_put_null(struct json_out *out);
void json_put_raw(struct json_out *out, struct str json);   /* already JSON, or a number's text */
void json_put_time(struct json_out *out, int64_t ns);       /* "2024-01-31T23:59:59.123456789Z" */
void json_put_decimal(struct json_out *out, int64_t value); /* "3702.75": a string, exact */
