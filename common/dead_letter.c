#include "common/dead_letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
	add_number(h, "etl.replays", letter->replays);
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
