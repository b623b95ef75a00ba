/* A cursor is the members' texts, each with a NUL behind it, in base64url (RFC 4648, 5) without padding. */
#include <string.h>

#include "stages/orchestrator/api/resources.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_group(const uint8_t *bytes, size_t n, struct buf *out)
{
	uint32_t bits = (uint32_t)bytes[0] << 16 | (n > 1 ? (uint32_t)bytes[1] << 8 : 0) | (n > 2 ? bytes[2] : 0);

	for (size_t i = 0; i <= n; i++)
		buf_put_u8(out, (uint8_t)alphabet[bits >> (18 - 6 * i) & 63]);
}

void resource_cursor_put(const struct resource *resource, const char *const *values, struct buf *out)
{
	uint8_t group[3];
	size_t n = 0;

	for (unsigned i = 0; i < resource->cursor_count; i++)
		for (size_t at = 0; at <= strlen(values[i]); at++) {
			group[n++] = (uint8_t)values[i][at];
			if (n == sizeof(group)) {
				put_group(group, n, out);
				n = 0;
			}
		}
	if (n > 0)
		put_group(group, n, out);
}

static bool decode(struct str cursor, struct buf *out)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (uint32_t i = 0; i < cursor.len; i++) {
		const char *at = cursor.data[i] ? strchr(alphabet, cursor.data[i]) : NULL;

		if (!at)
			return false;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_put_u8(out, (uint8_t)(bits >> have));
		}
	}
	return !out->overflow;
}

bool resource_cursor_get(const struct resource *resource, struct str cursor, struct buf *storage,
			 const char **ret_values)
{
	size_t at = 0;

	buf_reset(storage);
	if (!decode(cursor, storage) || storage->len == 0 || storage->data[storage->len - 1] != '\0')
		return false;
	for (unsigned i = 0; i < resource->cursor_count; i++) {
		if (at >= storage->len)
			return false;
		ret_values[i] = (const char *)storage->data + at;
		if (!str_is_text(str_of(ret_values[i])))
			return false;
		at += strlen(ret_values[i]) + 1;
	}
	return at == storage->len;
}
