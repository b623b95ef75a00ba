#include "stages/loader/archive.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/mem.h"
#include "common/record.h"
#include "stages/loader/copy.h"

#define ROWS_MAX ((size_t)256 * 1024 * 1024) /* bytes of one batch */
#define TEXT_MAX 65536                       /* bytes of one stored text */
#define NAME_MAX_BYTES 249                   /* of one that is indexed: as long as a topic's name can be */
#define TIMESTAMP_MAX (INT64_MAX / 1000000)  /* ms that are in range as ns */

/* Staged like the archive, but rules as one text. The order here is the order of put_row(). */
static const char columns[] = "attempt, ordinal, class, schema, symbol, day, stage, rules_version, message, record,"
			      " replays, key, value, headers, origin_topic, origin_partition, origin_offset,"
			      " letter_topic, letter_partition, letter_offset, failed_at, rules";
#define COLUMN_COUNT 22

struct archive {
	struct buf rows;
	struct buf scratch;
	int64_t count; /* rows that are not staged yet */
	bool staged;   /* there are such that are */
	bool own;
	struct kafka_header *headers; /* of the letter at hand */
	unsigned header_cap;
};

/* A letter as it comes in. */
struct source {
	const struct kafka_header *headers;
	unsigned header_count;
	struct str key, value;
	const char *topic; /* NULL: it stands in none */
	int32_t partition;
	int64_t offset;
	int64_t failed_at_ms;
};

/* The headers that have columns of their own. */
struct letter {
	struct str class, schema, symbol, day, stage, rules, rules_version, message, record, attempt, ordinal, replays,
		topic, partition, offset;
};

static const struct {
	const char *name;
	size_t offset;
} header_columns[] = {
	{ "etl.class", offsetof(struct letter, class) },
	{ "etl.schema", offsetof(struct letter, schema) },
	{ "etl.symbol", offsetof(struct letter, symbol) },
	{ "etl.day", offsetof(struct letter, day) },
	{ "etl.stage", offsetof(struct letter, stage) },
	{ "etl.rules", offsetof(struct letter, rules) },
	{ "etl.rules.version", offsetof(struct letter, rules_version) },
	{ "etl.message", offsetof(struct letter, message) },
	{ "etl.record", offsetof(struct letter, record) },
	{ "etl.attempt", offsetof(struct letter, attempt) },
	{ "etl.ordinal", offsetof(struct letter, ordinal) },
	{ "etl.replays", offsetof(struct letter, replays) },
	{ "__connect.errors.topic", offsetof(struct letter, topic) },
	{ "__connect.errors.partition", offsetof(struct letter, partition) },
	{ "__connect.errors.offset", offsetof(struct letter, offset) },
};

struct archive *archive_new(void)
{
	struct archive *archive = mem_zalloc(1, sizeof(*archive));

	archive->rows = (struct buf)BUF_INIT(ROWS_MAX);
	archive->scratch = (struct buf)BUF_INIT(ROWS_MAX);
	return archive;
}

void archive_freep(struct archive **archive)
{
	if (!*archive)
		return;
	buf_release(&(*archive)->rows);
	buf_release(&(*archive)->scratch);
	free((*archive)->headers);
	free(*archive);
	*archive = NULL;
}

int archive_create_stage(struct pg *pg, struct err *err)
{
	return pg_exec(pg,
		       "CREATE TEMP TABLE IF NOT EXISTS stage_dead_letters ON COMMIT DELETE ROWS AS"
		       " SELECT ''::text AS rule_list, * FROM etl.dead_letters WITH NO DATA;"
		       "ALTER TABLE stage_dead_letters DROP COLUMN id, DROP COLUMN archived_at, DROP COLUMN rules",
		       err);
}

size_t archive_bytes(const struct archive *archive)
{
	return archive->rows.len;
}

bool archive_overflow(const struct archive *archive)
{
	return archive->rows.overflow || archive->scratch.overflow;
}

bool archive_has_own(const struct archive *archive)
{
	return archive->own;
}

void archive_reset(struct archive *archive)
{
	buf_reset(&archive->rows);
	archive->count = 0;
	archive->staged = archive->own = false;
}

/* --- reading a letter ------------------------------------------------------------------------------------------------ */

static unsigned collect_headers(struct archive *archive, const struct kafka_message *message)
{
	struct kafka_header header;
	unsigned count = 0;

	for (; kafka_message_header(message, count, &header); count++) {
		if (count == archive->header_cap) {
			archive->header_cap = archive->header_cap ? archive->header_cap * 2 : 32;
			archive->headers =
				mem_realloc(archive->headers, archive->header_cap, sizeof(*archive->headers));
		}
		archive->headers[count] = header;
	}
	return count;
}

static void read_headers(const struct source *source, struct letter *letter)
{
	for (unsigned i = 0; i < source->header_count; i++)
		for (unsigned c = 0; c < sizeof(header_columns) / sizeof(*header_columns); c++)
			if (strcmp(source->headers[i].name, header_columns[c].name) == 0)
				*(struct str *)((char *)letter + header_columns[c].offset) = source->headers[i].value;
}

/* A non-negative number, or false. */
static bool number_of(struct str text, int64_t *ret)
{
	*ret = 0;
	for (uint32_t i = 0; i < text.len; i++)
		if (!isdigit((unsigned char)text.data[i]) || __builtin_mul_overflow(*ret, 10, ret) ||
		    __builtin_add_overflow(*ret, text.data[i] - '0', ret))
			return false;
	return text.len > 0;
}

/* Every header as a JSON object, foreign ones included. */
static struct str headers_json(struct archive *archive, const struct source *source)
{
	struct json_out out = JSON_OUT(&archive->scratch);

	buf_reset(&archive->scratch);
	buf_put_u8(&archive->scratch, 1); /* jsonb's version byte */
	json_put_open(&out, '{');
	for (unsigned i = 0; i < source->header_count; i++) {
		json_put_key(&out, source->headers[i].name);
		json_put_str(&out, source->headers[i].value);
	}
	json_put_close(&out, '}');
	return buf_str(&archive->scratch);
}

/* --- writing a row --------------------------------------------------------------------------------------------------- */

static void put_bytes(struct buf *rows, struct str s)
{
	buf_put_be32(rows, s.len);
	buf_put_str(rows, s);
}

/* At most max bytes of it, not cut inside a UTF-8 sequence. */
static struct str cut(struct str s, uint32_t max)
{
	if (s.len > max)
		for (s.len = max; s.len > 0 && ((unsigned char)s.data[s.len] & 0xC0) == 0x80;)
			s.len--;
	return s;
}

/* Text as PostgreSQL takes it: what is no UTF-8, and NUL, become '?'. */
static void put_text(struct buf *rows, struct str s)
{
	uint8_t *room;

	s = cut(s, TEXT_MAX);
	buf_put_be32(rows, s.len);
	if (str_is_text(s)) {
		buf_put_str(rows, s);
		return;
	}
	room = buf_room(rows, s.len);
	if (!room)
		return;
	for (uint32_t i = 0; i < s.len; i++)
		room[i] = s.data[i] == '\0' || (s.data[i] & 0x80) ? '?' : (uint8_t)s.data[i];
	rows->len += s.len;
}

static void put_number(struct buf *rows, bool present, int64_t value)
{
	uint8_t *room = buf_room(rows, 12);

	if (room)
		rows->len += (size_t)((present ? copy_int8(room, value) : copy_null(room)) - room);
}

static void put_int4(struct buf *rows, bool present, int64_t value)
{
	uint8_t *room = buf_room(rows, 8);

	if (room)
		rows->len += (size_t)((present ? copy_int4(room, (int32_t)value) : copy_null(room)) - room);
}

static void put_day(struct buf *rows, struct str day)
{
	int64_t ns;

	if (day.len == 10 && clock_parse(day, &ns))
		put_int4(rows, true, clock_day_of(ns) - COPY_EPOCH_DAYS);
	else
		put_int4(rows, false, 0);
}

static void put_origin(struct buf *rows, const struct letter *letter)
{
	int64_t partition, offset;
	bool has_partition = number_of(letter->partition, &partition) && partition <= INT32_MAX;
	bool has_offset = number_of(letter->offset, &offset);

	put_text(rows, cut(letter->topic, NAME_MAX_BYTES));
	put_int4(rows, has_partition, partition);
	put_number(rows, has_offset, offset);
}

static void put_failed_at(struct buf *rows, int64_t timestamp_ms)
{
	uint8_t *room = buf_room(rows, 12);

	if (timestamp_ms < -TIMESTAMP_MAX || timestamp_ms > TIMESTAMP_MAX)
		timestamp_ms = 0;
	if (room)
		rows->len += (size_t)(copy_timestamp(room, timestamp_ms * 1000000) - room);
}

static void put_place(struct buf *rows, const struct source *source)
{
	if (source->topic)
		put_text(rows, str_of(source->topic));
	else
		buf_put_be32(rows, UINT32_MAX);
	put_int4(rows, source->topic, source->partition);
	put_number(rows, source->topic, source->offset);
}

static void put_row(struct archive *archive, const struct source *source)
{
	struct letter letter = { .class = { "", 0 } };
	struct buf *rows = &archive->rows;
	int64_t attempt = 0, ordinal = 0, replays;
	bool ours;

	read_headers(source, &letter);
	ours = number_of(letter.attempt, &attempt) && number_of(letter.ordinal, &ordinal) && attempt > 0;
	if (!number_of(letter.replays, &replays) || replays > INT32_MAX)
		replays = 0;
	buf_put_be16(rows, COLUMN_COUNT);
	put_number(rows, ours, attempt);
	put_number(rows, ours, ordinal);
	put_text(rows, letter.class.len ? cut(letter.class, NAME_MAX_BYTES) : STR_LIT("foreign"));
	put_text(rows, letter.schema);
	put_text(rows, letter.symbol.data ? letter.symbol : source->key);
	put_day(rows, letter.day);
	put_text(rows, letter.stage);
	put_text(rows, letter.rules_version);
	put_text(rows, letter.message);
	put_text(rows, letter.record);
	put_int4(rows, true, replays);
	put_bytes(rows, source->key);
	put_bytes(rows, source->value);
	put_bytes(rows, headers_json(archive, source));
	put_origin(rows, &letter);
	put_place(rows, source);
	put_failed_at(rows, source->failed_at_ms);
	put_text(rows, letter.rules);
	archive->count++;
}

void archive_add(struct archive *archive, const struct kafka_message *message)
{
	unsigned count = collect_headers(archive, message);
	const struct source source = {
		.headers = archive->headers,
		.header_count = count,
		.key = message->key,
		.value = message->value,
		.topic = message->topic,
		.partition = message->partition,
		.offset = message->offset,
		.failed_at_ms = message->timestamp_ms,
	};

	put_row(archive, &source);
}

void archive_add_own(struct archive *archive, const struct dead_letter *letter, struct str key, struct str value)
{
	struct dead_letter_headers headers;

	dead_letter_headers(letter, &headers);
	const struct source source = {
		.headers = headers.list,
		.header_count = headers.count,
		.key = key,
		.value = value,
		.failed_at_ms = clock_now_ns() / 1000000,
	};

	put_row(archive, &source);
	archive->own = true;
}

/* --- storing --------------------------------------------------------------------------------------------------------- */

int archive_stage(struct archive *archive, struct pg *pg, struct err *err)
{
	CLEANUP(freep)
	char *copy = mem_printf("COPY stage_dead_letters (%.*s, rule_list) FROM STDIN (FORMAT binary)",
				(int)(strlen(columns) - strlen(", rules")), columns);
	int64_t copied = 0;

	if (archive->count == 0)
		return 0;
	if (archive_overflow(archive))
		return err_set(err, ERR_FATAL, "a batch of dead letters is too large; lower batch.records_max");
	if (pg_copy_binary(pg, copy, &archive->rows, &copied, err))
		return err_wrap(err, "dead letters");
	buf_reset(&archive->rows);
	archive->count = 0;
	archive->staged = true;
	return 0;
}

/*
 * A record that was put back and is refused again: by the attempt's task and the ordinal it is known which letter it was.
 * Told anew in the same words for one that comes twice, so that it is still told to be the same. Of a vendor's task that is
 * done again the windows are others' tasks; there, and in a file, the record has to be the same besides. Of the loader's own,
 * which are not published yet, the headers say it too.
 */
static const char first_letter_sql[] =
	"UPDATE stage_dead_letters s SET first_letter = p.first_letter, replays = p.replays,"
	" headers = CASE WHEN s.letter_topic IS NULL THEN s.headers || jsonb_build_object('etl.replays', p.replays::text,"
	"                'etl.first_letter', p.first_letter::text) ELSE s.headers END"
	" FROM etl.attempts a JOIN etl.tasks t USING (task) JOIN etl.letters_put_back p ON p.task = coalesce(t.quote, t.task)"
	" WHERE a.attempt = s.attempt AND p.ordinal = s.ordinal AND p.first_letter IS NOT NULL"
	" AND (t.source = 'kafka' OR s.ordinal = 0 OR (p.class = s.class AND p.value IS NOT DISTINCT FROM s.value))";

/* The name as the ledger keeps it, which outlives the answer: a letter of our own is of a record of one of them. */
static const char *topic_of(struct data_topics *topics, const char *name)
{
	return topics->names[data_topics_find(topics, name)];
}

/*
 * A letter of our own counts where its record stood, the others where the
 * letter stands. Ordered, so that two loaders take the keys in one order.
 */
static int count_new(struct pg *pg, const char *dlq_topic, struct data_topics *clean_topics, struct ledger *ledger,
		     struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep)
	char *sql =
		mem_printf("INSERT INTO etl.dead_letters (%s, first_letter)"
			   " SELECT %.*s, coalesce(string_to_array(nullif(rule_list, ''), ','), '{}'), first_letter"
			   " FROM stage_dead_letters"
			   " ORDER BY letter_partition, letter_offset, origin_partition, origin_offset"
			   " ON CONFLICT DO NOTHING"
			   " RETURNING attempt, ordinal, letter_topic, coalesce(letter_partition, origin_partition),"
			   " origin_topic",
			   columns, (int)(strlen(columns) - strlen(", rules")), columns);

	if (pg_query(pg, first_letter_sql, PG_NO_PARAMS, NULL, err) || pg_query(pg, sql, PG_NO_PARAMS, &r, err))
		return err_wrap(err, "dead letters");
	for (int row = 0; row < pg_rows(r); row++) {
		int64_t ordinal = pg_int(r, row, 1);

		if (!pg_null(r, row, 0) && ordinal > 0)
			ledger_add(ledger, pg_int(r, row, 0),
				   pg_null(r, row, 2) ? topic_of(clean_topics, pg_text(r, row, 4)) : dlq_topic,
				   (int32_t)pg_int(r, row, 3), OUTCOME_DEAD_LETTER, 1, record_mix(ordinal),
				   LEDGER_SPAN_NONE); /* etl.dead_letters has each one's own */
	}
	return 0;
}

int archive_write(struct archive *archive, struct pg *pg, const char *dlq_topic, struct data_topics *clean_topics,
		  struct ledger *ledger, struct err *err)
{
	if (archive_stage(archive, pg, err))
		return -1;
	return archive->staged ? count_new(pg, dlq_topic, clean_topics, ledger, err) : 0;
}
