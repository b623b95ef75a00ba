#include "tests/bench/parts/by_hand.h"

#include <endian.h>
#include <string.h>

#include "common/bytes.h"
#include "common/frame_ids.h"

static inline uint8_t *hand_long(uint8_t *p, int64_t value)
{
	uint64_t z = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

	for (; z >= 0x80; z >>= 7)
		*p++ = (uint8_t)(z | 0x80);
	*p++ = (uint8_t)z;
	return p;
}

static inline uint8_t *hand_string(uint8_t *p, struct str s)
{
	p = hand_long(p, s.len);
	memcpy(p, s.data, s.len);
	return p + s.len;
}

/* A union of null and decimal. */
static inline uint8_t *hand_price(uint8_t *p, int64_t value, bool present)
{
	uint64_t be = htobe64((uint64_t)value), magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
	unsigned n = (magnitude ? 64 - (unsigned)__builtin_clzll(magnitude) : 0) / 8 + 1;

	*p++ = (uint8_t)(present << 1);
	if (!present)
		return p;
	*p++ = (uint8_t)(n << 1);
	memcpy(p, (const uint8_t *)&be + 8 - n, n);
	return p + n;
}

void hand_encode(const struct ohlcv *bar, struct buf *out)
{
	uint8_t *start = buf_room(out, 200 + bar->symbol.len + bar->schema.len + bar->dataset.len), *p = start;
	uint32_t id = htobe32(frame_id_written(ohlcv_type.schema_id));

	if (!start)
		return;
	*p++ = 0;
	memcpy(p, &id, sizeof(id));
	p = hand_long(p + 4, bar->attempt);
	p = hand_long(p, bar->ordinal);
	p = hand_long(p, bar->as_of);
	p = hand_string(p, bar->symbol);
	p = hand_string(p, bar->schema);
	p = hand_string(p, bar->dataset);
	p = hand_long(p, bar->publisher_id);
	p = hand_long(p, bar->instrument_id);
	p = hand_long(p, bar->ts_event);
	p = hand_price(p, bar->open, bar->present >> OHLCV_OPEN & 1);
	p = hand_price(p, bar->high, bar->present >> OHLCV_HIGH & 1);
	p = hand_price(p, bar->low, bar->present >> OHLCV_LOW & 1);
	p = hand_price(p, bar->close, bar->present >> OHLCV_CLOSE & 1);
	p = hand_long(p, bar->volume);
	p = hand_long(p, bar->volume_exponent);
	p = hand_long(p, bar->flags);
	out->len += (size_t)(p - start);
}

static inline int64_t hand_get_long(struct bytes *b)
{
	uint64_t z = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = bytes_u8(b);

		z |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	return (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
}

static inline struct str hand_get_string(struct bytes *b)
{
	int64_t n = hand_get_long(b);
	const uint8_t *p = n >= 0 ? bytes_take(b, (size_t)n) : NULL;

	b->failed = b->failed || !p;
	return (struct str){ (const char *)p, p ? (uint32_t)n : 0 };
}

static inline int64_t hand_get_price(struct bytes *b, uint64_t *present, unsigned bit)
{
	uint64_t value;
	int64_t n;
	const uint8_t *p;

	if (bytes_u8(b) == 0)
		return 0;
	*present |= UINT64_C(1) << bit;
	n = hand_get_long(b);
	p = n > 0 && n <= 8 ? bytes_take(b, (size_t)n) : NULL;
	if (!p)
		return b->failed = true, 0;
	value = (uint64_t)(int64_t)(int8_t)p[0];
	for (int64_t i = 1; i < n; i++)
		value = value << 8 | p[i];
	return (int64_t)value;
}

bool hand_decode(struct ohlcv *bar, struct str message)
{
	struct bytes b = bytes_of(message.data, message.len);

	if (bytes_u8(&b) != 0 || bytes_be32(&b) != frame_id_written(ohlcv_type.schema_id))
		return false;
	bar->present = 0;
	bar->attempt = hand_get_long(&b);
	bar->ordinal = hand_get_long(&b);
	bar->as_of = hand_get_long(&b);
	bar->symbol = hand_get_string(&b);
	bar->schema = hand_get_string(&b);
	bar->dataset = hand_get_string(&b);
	bar->publisher_id = (int32_t)hand_get_long(&b);
	bar->instrument_id = hand_get_long(&b);
	bar->ts_event = hand_get_long(&b);
	bar->open = hand_get_price(&b, &bar->present, OHLCV_OPEN);
	bar->high = hand_get_price(&b, &bar->present, OHLCV_HIGH);
	bar->low = hand_get_price(&b, &bar->present, OHLCV_LOW);
	bar->close = hand_get_price(&b, &bar->present, OHLCV_CLOSE);
	bar->volume = hand_get_long(&b);
	bar->volume_exponent = (int32_t)hand_get_long(&b);
	bar->flags = (int32_t)hand_get_long(&b);
	return !b.failed && bytes_left(&b) == 0;
}
