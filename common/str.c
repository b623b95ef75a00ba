#include "common/str.h"

#include <stdio.h>

/* Length of the well-formed sequence at p (Unicode 15, table 3-7), 0 if none. */
static unsigned sequence_len(const unsigned char *p, size_t left)
{
	unsigned char lo = 0x80, hi = 0xBF;
	unsigned n;

	if (p[0] < 0x80)
		return p[0] != 0;
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	if (left < n)
		return 0;
	if (p[0] == 0xE0)
		lo = 0xA0; /* overlong */
	else if (p[0] == 0xED)
		hi = 0x9F; /* surrogates */
	else if (p[0] == 0xF0)
		lo = 0x90; /* overlong */
	else if (p[0] == 0xF4)
		hi = 0x8F; /* above U+10FFFF */
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (unsigned i = 2; i < n; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	return n;
}

bool str_is_text(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.data;
	size_t left = s.len;

	while (left > 0) {
		unsigned n = sequence_len(p, left);

		if (n == 0)
			return false;
		p += n;
		left -= n;
	}
	return true;
}

const char *str_show(struct str s, char out[STR_SHOWN_MAX])
{
	const size_t room = STR_SHOWN_MAX - sizeof("\\xNN...");
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < s.len && n < room; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c >= 0x20 && c < 0x7f)
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, STR_SHOWN_MAX - n, "\\x%02x", c);
	}
	snprintf(out + n, STR_SHOWN_MAX - n, "%s", i < s.len ? "..." : "");
	return out;
}
