#include "common/dead_letter.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REPLAYS "etl.replays"
#define FIRST_LETTER "etl.first_letter"

#define TEXT_MAX 16384 /* bytes of one header: longer texts are cut */
#define VALUE_MAX (4 * 1024 * 1024 - DEAD_LETTER_HEADERS_MAX * TEXT_MAX - 64 * 1024) /* of the topic's 4 MiB */

/* Cut at the maximum, but not inside a UTF-8 sequence. */
static struct str bounded(struct str s)
{
	if (s.len > TEXT_MAX) {
		s.len = TEXT_MAX;
		while (s.len > 0 && ((unsigned char)s.data[s.len] & 0xC0) == 0x80)
			s.len--;
	}
	return s;
}

static void add(struct dead_letter_headers *h, const char *name, struct str value)
{
	if (!value.data)
		value = STR_LIT("");
	h->list[h->count++] = (struct kafka_header){ name, bounded(value) };
}

static void add_number(struct dead_letter_headers *h, const char *name, int64_t value)
{
	char *text = h->numbers[h->number_count++];

	snprintf(text, sizeof(h->numbers[0]), "%" PRId64, value);
	add(h, name, str_of(text));
}

static void add_text(struct dead_letter_headers *h, const char *name, const char *value)
{
	add(h, name, str_of(value ? value : ""));
}

int dead_letter_topic(struct kafka_producer *producer, const struct topics *topics, struct kafka_topic **ret,
		      struct err *err)
{
	if (kafka_producer_topic(producer, topics_name(topics, "etl.dlq"), ret, err))
		return -1;
	kafka_topic_allow(*ret, VALUE_MAX);
	return 0;
}

void dead_letter_headers(const struct dead_letter *letter, struct dead_letter_headers *h)
{
	h->count = h->number_count = 0;
	clock_format_date(clock_day_of(letter->ts_event ? letter->ts_event : clock_now_ns()), h->day);
	add_text(h, "etl.class", letter->class);
	add_text(h, "etl.schema", letter->schema);
	add(h, "etl.symbol", letter->symbol);
	add_text(h, "etl.day", h->day);
	add_text(h, "etl.stage", letter->stage);
	add(h, "etl.rules", letter->rules);
	add_text(h, "etl.rules.version", letter->rules_version);
	add(h, "etl.message", letter->message);
	add(h, "etl.record", letter->record);
	if (letter->lineage.attempt > 0) {
		add_number(h, "etl.attempt", letter->lineage.attempt);
		add_number(h, "etl.ordinal", letter->lineage.ordinal);
	}
	add_number(h, REPLAYS, letter->past.replays);
	if (letter->past.first > 0)
		add_number(h, FIRST_LETTER, letter->past.first);
	add_text(h, "__connect.errors.topic", letter->topic);
	add_number(h, "__connect.errors.partition", letter->partition);
	add_number(h, "__connect.errors.offset", letter->offset);
	add_text(h, "__connect.errors.stage", letter->stage);
	add_text(h, "__connect.errors.exception.class.name", letter->exception);
	add(h, "__connect.errors.exception.message", letter->message);
}

int dead_letter_produce(struct kafka_producer *producer, struct kafka_topic *dlq, const struct dead_letter *letter,
			struct str key, struct str value, struct err *err)
{
	struct dead_letter_headers h;

	dead_letter_headers(letter, &h);
	return kafka_produce(producer, dlq, kafka_partition(key, kafka_topic_partitions(dlq)), key, value, h.list,
			     h.count, err);
}

/* --- what goes with a record that is put back ------------------------------------------------------------------------- */

static void carry_number(struct dead_letter_carried *c, const char *name, int64_t value)
{
	char *text = c->numbers[c->count];

	snprintf(text, sizeof(c->numbers[0]), "%" PRId64, value);
	c->list[c->count++] = (struct kafka_header){ name, str_of(text) };
}

void dead_letter_carry(const struct dead_letter_past *past, struct dead_letter_carried *c)
{
	c->count = 0;
	if (past->replays > 0)
		carry_number(c, REPLAYS, past->replays);
	if (past->first > 0)
		carry_number(c, FIRST_LETTER, past->first);
}

void dead_letter_carried(const struct kafka_message *message, struct dead_letter_carried *c)
{
	struct kafka_header header;

	c->count = 0;
	for (unsigned i = 0; c->count < DEAD_LETTER_CARRIED_MAX && kafka_message_header(message, i, &header); i++)
		if (strcmp(header.name, REPLAYS) == 0 || strcmp(header.name, FIRST_LETTER) == 0)
			c->list[c->count++] = header;
}

/* At most max; 0 for anything else: whoever may write the topic may have written that, too. */
static int64_t number_of(struct str text, int64_t max)
{
	int64_t n = 0;

	for (uint32_t i = 0; i < text.len; i++)
		if (!isdigit((unsigned char)text.data[i]) || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, text.data[i] - '0', &n))
			return 0;
	return n <= max ? n : 0;
}

static struct dead_letter_past past_of(const struct kafka_message *message)
{
	struct dead_letter_past past = { 0 };
	struct dead_letter_carried c;

	dead_letter_carried(message, &c);
	for (unsigned i = 0; i < c.count; i++)
		if (strcmp(c.list[i].name, REPLAYS) == 0)
			past.replays = (int32_t)number_of(c.list[i].value, INT32_MAX);
		else
			past.first = number_of(c.list[i].value, INT64_MAX);
	return past;
}

/* --- of a message ------------------------------------------------------------------------------------------------------- */

/* Field of the record by name, as text; empty where there is none. */
static struct str text_field(const struct record_type *type, const void *record, const char *name)
{
	const struct record_field *field = record_field_find(type, str_of(name));

	return field && field->type == FIELD_STRING ? record_string(record, field) : STR_LIT("");
}

void dead_letter_describe(struct dead_letter *letter, const struct kafka_message *message,
			  const struct record_type *type, const void *record, struct buf *scratch)
{
	const struct record_field *ts = type ? record_field_find(type, STR_LIT("ts_event")) : NULL;
	struct json_out json = JSON_OUT(scratch);
	struct str schema;

	letter->topic = message->topic;
	letter->partition = message->partition;
	letter->offset = message->offset;
	letter->symbol = message->key;
	letter->past = past_of(message);
	if (!record_lineage(message->value, &letter->lineage))
		letter->lineage = (struct lineage){ 0 };
	if (!type)
		return;
	letter->symbol = text_field(type, record, "symbol");
	letter->ts_event = ts ? record_number(record, ts) : 0;
	buf_reset(scratch);
	schema = text_field(type, record, "schema");
	buf_put_str(scratch, schema);
	buf_put_u8(scratch, '\0');
	record_json(type, record, &json);
	if (scratch->overflow)
		return;
	letter->schema = (const char *)scratch->data;
	letter->record =
		(struct str){ (const char *)scratch->data + schema.len + 1, (uint32_t)scratch->len - schema.len - 1 };
}
