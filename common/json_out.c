#include "common/json_out.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/decimal.h"

static void separate(struct json_out *out)
{
	if (out->comma)
		buf_put_u8(out->buf, ',');
	out->comma = true;
}

void json_put_open(struct json_out *out, char bracket)
{
	separate(out);
	buf_put_u8(out->buf, (uint8_t)bracket);
	out->comma = false;
}

void json_put_close(struct json_out *out, char bracket)
{
	buf_put_u8(out->buf, (uint8_t)bracket);
	out->comma = true;
}

static void put_escaped(struct buf *buf, unsigned char c)
{
	static const char short_form[128] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\',
	};

	if (c < 128 && short_form[c])
		buf_printf(buf, "\\%c", short_form[c]);
	else if (c < 0x20 || c == 0x7f)
		buf_printf(buf, "\\u%04x", c);
	else
		buf_put_u8(buf, c);
}

/* Length of the longest run of well-formed text from p on that needs no care. */
static void put_quoted(struct buf *buf, struct str value)
{
	buf_put_u8(buf, '"');
	for (uint32_t i = 0; i < value.len;) {
		unsigned char c = (unsigned char)value.data[i];
		uint32_t n = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
		struct str sequence = { value.data + i, n };

		if (c > 0 && c < 0x80) {
			put_escaped(buf, c);
		} else if (c > 0 && n <= value.len - i && str_is_text(sequence)) {
			buf_put_str(buf, sequence);
		} else {
			buf_put_text(buf, "\xEF\xBF\xBD");
			n = 1;
		}
		i += n;
	}
	buf_put_u8(buf, '"');
}

void json_put_key(struct json_out *out, const char *key)
{
	separate(out);
	put_quoted(out->buf, str_of(key));
	buf_put_u8(out->buf, ':');
	out->comma = false;
}

void json_put_str(struct json_out *out, struct str value)
{
	separate(out);
	put_quoted(out->buf, value);
}

void json_put_int(struct json_out *out, int64_t value)
{
	separate(out);
	buf_printf(out->buf, "%" PRId64, value);
}

void json_put_uint(struct json_out *out, uint64_t value)
{
	separate(out);
	buf_printf(out->buf, "%" PRIu64, value);
}

void json_put_bool(struct json_out *out, bool value)
{
	json_put_raw(out, value ? STR_LIT("true") : STR_LIT("false"));
}

void json_put_null(struct json_out *out)
{
	json_put_raw(out, STR_LIT("null"));
}

void json_put_raw(struct json_out *out, struct str json)
{
	separate(out);
	buf_put_str(out->buf, json);
}

void json_put_time(struct json_out *out, int64_t ns)
{
	char text[CLOCK_TEXT_MAX];

	clock_format(ns, 9, text);
	json_put_str(out, str_of(text));
}

void json_put_decimal(struct json_out *out, int64_t value)
{
	char text[DECIMAL_TEXT_MAX];

	decimal_format(value, text);
	json_put_str(out, str_of(text));
}
