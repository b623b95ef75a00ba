#pragma once
/*
 * A borrowed piece of text or bytes: not NUL-terminated, not owned. A slice
 * that points into a message lives as long as the message.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *data;
	uint32_t len;
};

/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).len, (s).data
#define STR_LIT(lit) ((struct str){ (lit), sizeof(lit) - 1 })

static inline struct str str_of(const char *text)
{
	return (struct str){ text, (uint32_t)strlen(text) };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* True when the bytes are UTF-8 without NUL: what PostgreSQL's text takes. */
bool str_is_text(struct str s);

#define STR_SHOWN_MAX 64 /* bytes with NUL */

/* The text for a message, whatever is in it: what is no printable ASCII as \xNN, cut where it is long. Returns `out`. */
const char *str_show(struct str s, char out[STR_SHOWN_MAX]);
