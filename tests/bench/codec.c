/*
 * codec: what a bar costs in our own code, in nanoseconds of CPU: encoding and
 * decoding by the descriptor, the same written by hand for this one record, the
 * same by avro-c's generic values; a rule; and rows for COPY. As JSON.
 */
#include <avro.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/embed.h"
#include "common/frame_ids.h"
#include "common/mem.h"
#include "common/record.h"
#include "schemas.h"
#include "stages/validator/rules.h"

#define BARS 4096
#define LOOPS 40
#define ROOM (64 * 1024 * 1024)

static struct ohlcv bars[BARS], decoded;
static struct str messages[BARS];
static struct buf encoded = BUF_INIT(ROOM), scratch = BUF_INIT(ROOM);

static int64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void fill(void)
{
	static const char *const symbols[] = { "AAPL", "MSFT", "ESH4", "BRK.B", "SPY", "GOOGL", "NVDA", "TSLA" };

	for (int64_t i = 0; i < BARS; i++) {
		int64_t price = INT64_C(187150000000) + (i * 7919 % 5000) * 10000000;

		bars[i] = (struct ohlcv){ .present = OHLCV_PRESENT,
					  .attempt = ATTEMPT_MIN + (INT64_C(1700000000000) << 20) + i / 1000,
					  .ordinal = i + 1,
					  .as_of = INT64_C(1710460800000000000) + i,
					  .symbol = str_of(symbols[i % 8]),
					  .schema = STR_LIT("ohlcv-1m"),
					  .dataset = STR_LIT("XNAS.ITCH"),
					  .publisher_id = 2,
					  .instrument_id = 1000 + i % 8,
					  .ts_event = INT64_C(1710424800000000000) + i / 8 * INT64_C(60000000000),
					  .open = price,
					  .high = price + 20000000,
					  .low = price - 10000000,
					  .close = price + 10000000,
					  .volume = 1000 + i };
	}
}

/* --- by hand ----------------------------------------------------------------------------------------------------------- */

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

static void hand_encode(const struct ohlcv *bar, struct buf *out)
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

static bool hand_decode(struct ohlcv *bar, struct str message)
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

/* --- avro-c ------------------------------------------------------------------------------------------------------------ */

static avro_value_t generic;

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "codec: %s\n", what);
	exit(EXIT_FAILURE);
}

static void generic_open(void)
{
	struct str text = embed_find("schemas/avro/ohlcv.avsc");
	avro_schema_t schema;
	avro_value_iface_t *class;

	need(avro_schema_from_json_length(text.data, text.len, &schema) == 0, "avro-c does not take the schema");
	class = avro_generic_class_from_schema(schema);
	need(avro_generic_value_new(class, &generic) == 0, "avro-c has no value");
	avro_value_iface_decref(class);
	avro_schema_decref(schema);
}

static void generic_decode(struct str message)
{
	avro_reader_t reader =
		avro_reader_memory(message.data + CONFLUENT_PREFIX, (int64_t)message.len - CONFLUENT_PREFIX);

	need(avro_value_read(reader, &generic) == 0, "avro-c cannot read");
	avro_reader_free(reader);
}

static void generic_encode(struct buf *out)
{
	avro_writer_t writer = avro_writer_memory((char *)buf_room(out, 400), 400);

	need(avro_value_write(writer, &generic) == 0, "avro-c cannot write");
	out->len += (size_t)avro_writer_tell(writer);
	avro_writer_free(writer);
}

/* --- what is measured -------------------------------------------------------------------------------------------------- */

static struct ruleset *rules, *no_rules;
static uint64_t seen; /* so that nothing is optimised away */

static void do_encode(unsigned i)
{
	record_encode(&ohlcv_type, &bars[i], &scratch);
}

static void do_hand_encode(unsigned i)
{
	hand_encode(&bars[i], &scratch);
}

static void do_generic_encode(unsigned i)
{
	(void)i;
	generic_encode(&scratch);
}

static void do_decode(unsigned i)
{
	struct err err = ERR_INIT;

	need(record_decode(&ohlcv_type, &decoded, messages[i], &err) == 0, err.text);
	seen += (uint64_t)decoded.close;
}

static void do_hand_decode(unsigned i)
{
	need(hand_decode(&decoded, messages[i]), "the hand-written decoder refuses");
	seen += (uint64_t)decoded.close;
}

static void do_generic_decode(unsigned i)
{
	generic_decode(messages[i]);
}

static void do_rules(unsigned i)
{
	seen += ruleset_check(rules, &bars[i], INT64_C(1710500000000000000)).rejected;
}

static void do_no_rules(unsigned i)
{
	seen += ruleset_check(no_rules, &bars[i], INT64_C(1710500000000000000)).rejected;
}

/* Nanoseconds a bar, the least of the rounds: what else runs only adds. */
static double measure(void (*once)(unsigned i), unsigned rounds)
{
	double least = 0;

	for (unsigned round = 0; round < rounds; round++) {
		int64_t began = cpu_ns();
		double ns;

		for (unsigned loop = 0; loop < LOOPS; loop++) {
			buf_reset(&scratch);
			for (unsigned i = 0; i < BARS; i++)
				once(i);
		}
		ns = (double)(cpu_ns() - began) / (LOOPS * BARS);
		if (round == 0 || ns < least)
			least = ns;
	}
	return least;
}

/* Both ways of each give the same bytes, and the same bar. */
static void check(void)
{
	CLEANUP(buf_release) struct buf other = BUF_INIT(ROOM);

	for (unsigned i = 0; i < BARS; i++) {
		size_t at = encoded.len;

		record_encode(&ohlcv_type, &bars[i], &encoded);
		messages[i].len = (uint32_t)(encoded.len - at);
		hand_encode(&bars[i], &other);
	}
	need(encoded.len == other.len && memcmp(encoded.data, other.data, other.len) == 0, "the two encoders differ");
	for (size_t i = 0, at = 0; i < BARS; at += messages[i++].len) {
		messages[i].data = (const char *)encoded.data + at;
		need(hand_decode(&decoded, messages[i]) && decoded.close == bars[i].close &&
			     decoded.flags == bars[i].flags && str_eq(decoded.symbol, bars[i].symbol),
		     "the hand-written decoder differs");
	}
	generic_decode(messages[0]);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*once)(unsigned i);
	} table[] = {
		{ "encode", do_encode }, { "encode_by_hand", do_hand_encode }, { "encode_avro_c", do_generic_encode },
		{ "decode", do_decode }, { "decode_by_hand", do_hand_decode }, { "decode_avro_c", do_generic_decode },
		{ "rules", do_rules },   { "no_rules", do_no_rules },
	};
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
	struct err err = ERR_INIT;

	fill();
	generic_open();
	check();
	need(ruleset_compile(&rules, "ohlcv", embed_find("stages/validator/rules/ohlcv.yaml"), &ohlcv_type, &err) == 0,
	     err.text);
	need(ruleset_compile(
		     &no_rules, "none",
		     STR_LIT("name: none\nrecord: ohlcv\nrules:\n  - name: NEVER\n    violated: high < low and low < high\n    doc: none\n"),
		     &ohlcv_type, &err) == 0,
	     err.text);
	printf("{\"rule_count\": %u", ruleset_count(rules));
	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++)
		printf(", \"%s\": %.3f", table[i].name, measure(table[i].once, rounds));
	printf(", \"seen\": %" PRIu64 "}\n", seen);
	ruleset_freep(&rules);
	ruleset_freep(&no_rules);
	avro_value_decref(&generic);
	buf_release(&encoded);
	buf_release(&scratch);
	return EXIT_SUCCESS;
}
