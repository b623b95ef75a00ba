#include "stages/loader/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/decimal.h"
#include "common/hash.h"
#include "common/mem.h"
#include "stages/loader/copy.h"
#include "stages/loader/months.h"

#define COLUMNS_MAX 192
#define STAGE_COLUMNS 5 /* seq, source_partition, mix, round, again */
#define SQL_MAX 65536
#define EXPONENT_SUFFIX "_exponent"
#define NANOS_SUFFIX "_ns"
#define NAME_MAX_BYTES 64
#define EXPONENT_MAX 1000 /* of a quantity, either way */
#define TEXT_MAX 4096     /* bytes; a key's have to fit into a third of an index page together */
#define KEY_TEXT_MAX 512
#define DAY_MIN (-719162) /* 0001-01-01 */
#define DAY_MAX 2932896   /* 9999-12-31 */

/* How a field's value goes into its column. */
enum column_kind {
	COLUMN_TEXT,
	COLUMN_INT4,
	COLUMN_INT8,
	COLUMN_DATE,
	COLUMN_TIMESTAMP,
	COLUMN_NANOS, /* of the timestamp before it */
	COLUMN_PRICE,
	COLUMN_QUANTITY
};

struct column {
	char name[NAME_MAX_BYTES];
	const struct record_field *field;
	const struct record_field *exponent; /* COLUMN_QUANTITY */
	enum column_kind kind;
	bool key, content;
	enum key_part part;
};

struct table {
	const struct table_spec *spec;
	struct column columns[COLUMNS_MAX];
	unsigned count;
	unsigned keys_end; /* behind the last column of the key: who looks for keys only need not look on */
	const struct record_field *time;
	struct buf column_list, key_list, content_list;
};

/* --- matching fields and columns ------------------------------------------------------------------------------------- */

/* Numbers of src/include/catalog/pg_type.dat, which never change. */
static const struct {
	const char *name;
	uint32_t oid;
} types[] = {
	[COLUMN_TEXT] = { "text", 25 },
	[COLUMN_INT4] = { "integer", 23 },
	[COLUMN_INT8] = { "bigint", 20 },
	[COLUMN_DATE] = { "date", 1082 },
	[COLUMN_TIMESTAMP] = { "timestamp with time zone", 1184 },
	[COLUMN_NANOS] = { "smallint", 21 },
	[COLUMN_PRICE] = { "numeric", 1700 },
	[COLUMN_QUANTITY] = { "numeric", 1700 },
};

/* `volume` with a sibling `volume_exponent` is one quantity. */
static const struct record_field *exponent_of(const struct record_type *type, const struct record_field *field)
{
	CLEANUP(freep) char *name = mem_printf("%s" EXPONENT_SUFFIX, field->name);

	return record_field_find(type, str_of(name));
}

static bool is_exponent(const struct record_field *field)
{
	size_t n = strlen(field->name), suffix = strlen(EXPONENT_SUFFIX);

	return n > suffix && strcmp(field->name + n - suffix, EXPONENT_SUFFIX) == 0;
}

static enum column_kind kind_of(const struct column *column)
{
	switch (column->field->type) {
	case FIELD_STRING:
		return COLUMN_TEXT;
	case FIELD_DECIMAL:
		return COLUMN_PRICE;
	case FIELD_LONG:
		if (column->exponent)
			return COLUMN_QUANTITY;
		return column->field->logical == LOGICAL_TIMESTAMP_NANOS ? COLUMN_TIMESTAMP : COLUMN_INT8;
	default:
		return column->field->logical == LOGICAL_DATE ? COLUMN_DATE : COLUMN_INT4;
	}
}

static bool is_among(const char *const names[TABLE_KEYS_MAX], const char *name)
{
	for (unsigned i = 0; i < TABLE_KEYS_MAX && names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static enum key_part part_of(const struct table_spec *spec, const char *name)
{
	if (is_among(spec->series, name))
		return KEY_SERIES;
	return strcmp(spec->time_column, name) == 0 ? KEY_TIME : KEY_REST;
}

static void list_add(struct buf *list, const char *name)
{
	buf_printf(list, "%s\"%s\"", list->len ? ", " : "", name);
}

static void list_column(struct table *table, const struct column *column)
{
	list_add(&table->column_list, column->name);
	if (column->content)
		list_add(&table->content_list, column->name);
}

static void add_column(struct table *table, const struct record_field *field, const char *suffix)
{
	struct column *column = &table->columns[table->count++];

	*column = (struct column){ .field = field, .exponent = exponent_of(table->spec->type, field) };
	snprintf(column->name, sizeof(column->name), "%s%s", field->name, suffix);
	column->kind = suffix[0] ? COLUMN_NANOS : kind_of(column);
	column->key = is_among(table->spec->keys, column->name);
	column->part = part_of(table->spec, column->name);
	if (column->key)
		table->keys_end = table->count;
	column->content = !column->key && strcmp(column->name, "attempt") != 0 && strcmp(column->name, "as_of") != 0;
	list_column(table, column);
}

/* Lineage's ordinal has no column, and a quantity's exponent is in the quantity. */
static void plan_columns(struct table *table)
{
	const struct table_spec *spec = table->spec;

	for (unsigned i = 0; i < spec->type->field_count; i++) {
		const struct record_field *field = &spec->type->fields[i];

		if (is_exponent(field) || strcmp(field->name, "ordinal") == 0)
			continue;
		add_column(table, field, "");
		if (spec->nanoseconds && field->logical == LOGICAL_TIMESTAMP_NANOS && strcmp(field->name, "as_of") != 0)
			add_column(table, field, NANOS_SUFFIX);
	}
	for (unsigned i = 0; i < TABLE_KEYS_MAX && spec->keys[i]; i++)
		list_add(&table->key_list, spec->keys[i]);
	table->time = record_field_find(spec->type, str_of(spec->time_column));
}

static const char *stored_type(const struct pg_result *attributes, const char *name)
{
	for (int row = 0; row < pg_rows(attributes); row++)
		if (strcmp(pg_text(attributes, row, 0), name) == 0)
			return pg_text(attributes, row, 1);
	return "missing";
}

static int check_columns(const struct table *table, struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(buf_release) struct buf wrong = BUF_INIT(400);

	if (pg_query(pg,
		     "SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a"
		     " WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped",
		     PG_PARAMS(table->spec->name), &r, err))
		return -1;
	if (pg_rows(r) == 0)
		return err_set(err, ERR_FATAL, "table %s does not exist; run `penstock db migrate`", table->spec->name);
	for (unsigned i = 0; i < table->count; i++) {
		const char *name = table->columns[i].name, *wanted = types[table->columns[i].kind].name;
		const char *found = stored_type(r, name);

		if (strcmp(found, wanted) != 0)
			buf_printf(&wrong, "%s%s is %s, needed: %s", wrong.len ? "; " : "", name, found, wanted);
	}
	if (wrong.len)
		return err_set(err, ERR_FATAL, "table %s does not fit record %s: %s; run `penstock db migrate`",
			       table->spec->name, table->spec->type->name, buf_text(&wrong));
	return 0;
}

int table_open(struct table **ret, struct pg *pg, const struct table_spec *spec, struct err *err)
{
	CLEANUP(table_freep) struct table *table = mem_zalloc(1, sizeof(*table));

	table->spec = spec;
	table->column_list = table->key_list = table->content_list = (struct buf)BUF_INIT(SQL_MAX);
	plan_columns(table);
	if (check_columns(table, pg, err))
		return -1;
	*ret = STEAL(table);
	return 0;
}

void table_freep(struct table **table)
{
	if (!*table)
		return;
	buf_release(&(*table)->column_list);
	buf_release(&(*table)->key_list);
	buf_release(&(*table)->content_list);
	free(*table);
	*table = NULL;
}

const struct table_spec *table_spec(const struct table *table)
{
	return table->spec;
}

const char *table_columns(const struct table *table)
{
	return buf_text((struct buf *)&table->column_list);
}

const char *table_key(const struct table *table)
{
	return buf_text((struct buf *)&table->key_list);
}

const char *table_content(const struct table *table)
{
	return buf_text((struct buf *)&table->content_list);
}

/* --- staging --------------------------------------------------------------------------------------------------------- */

int table_create_stage(const struct table *table, struct pg *pg, struct err *err)
{
	CLEANUP(buf_release) struct buf sql = BUF_INIT(SQL_MAX);
	const char *name = table->spec->name;

	buf_printf(&sql,
		   "CREATE TEMP TABLE IF NOT EXISTS stage_%s ON COMMIT DELETE ROWS AS"
		   " SELECT 0 AS seq, 0 AS source_partition, 0::bigint AS mix, 0 AS round, false AS again, %s FROM %s"
		   " WITH NO DATA;"
		   "CREATE TEMP TABLE IF NOT EXISTS outcome_%s (seq integer, round integer, by_attempt bigint,"
		   " from_partition integer, mixed bigint, outcome text) ON COMMIT DELETE ROWS",
		   name, table_columns(table), name, name);
	return pg_exec(pg, buf_text(&sql), err);
}

static const char *wrong_with(const struct column *column, const void *record)
{
	struct str text;
	int64_t number;

	switch (column->kind) {
	case COLUMN_TEXT:
		text = record_string(record, column->field);
		if (text.len > (column->key ? KEY_TEXT_MAX : TEXT_MAX))
			return "too long";
		return str_is_text(text) ? NULL : "not text: NUL, or no UTF-8";
	case COLUMN_DATE:
		number = record_number(record, column->field);
		return number < DAY_MIN || number > DAY_MAX ? "out of range" : NULL;
	case COLUMN_QUANTITY:
		number = record_number(record, column->exponent);
		return number < -EXPONENT_MAX || number > EXPONENT_MAX ? "out of range" : NULL;
	default:
		return NULL;
	}
}

int table_check(const struct table *table, const void *record, struct err *err)
{
	for (unsigned i = 0; i < table->count; i++) {
		const struct column *column = &table->columns[i];
		const char *wrong;

		if (column->field->nullable && !record_has(record, column->field))
			continue;
		wrong = wrong_with(column, record);
		if (wrong)
			return err_set(err, ERR_RECORD, "%s is %s", column->name, wrong);
	}
	if (table_time(table, record) < MONTHS_FROM || table_time(table, record) >= MONTHS_TO)
		return err_set(err, ERR_RECORD, "%s is out of range", table->time->name);
	return 0;
}

static inline uint8_t *put_column(uint8_t *p, const struct column *column, const void *record)
{
	int64_t number;

	if (column->field->nullable && !record_has(record, column->field))
		return copy_null(p);
	if (column->kind == COLUMN_TEXT)
		return copy_text(p, record_string(record, column->field));
	number = record_number(record, column->field);
	switch (column->kind) {
	case COLUMN_INT4:
		return copy_int4(p, (int32_t)number);
	case COLUMN_DATE:
		return copy_date(p, (int32_t)number);
	case COLUMN_TIMESTAMP:
		return copy_timestamp(p, number);
	case COLUMN_NANOS:
		return copy_nanos(p, number);
	case COLUMN_PRICE:
		return copy_numeric(p, number, -DECIMAL_SCALE);
	case COLUMN_QUANTITY:
		return copy_numeric(p, number, (int)record_number(record, column->exponent));
	default:
		return copy_int8(p, number);
	}
}

static size_t row_bytes_max(const struct table *table, const void *record)
{
	size_t n = COPY_ROW_HEAD + table->count * (size_t)COPY_FIELD_MAX;

	for (unsigned i = 0; i < table->count; i++)
		if (table->columns[i].kind == COLUMN_TEXT)
			n += record_string(record, table->columns[i].field).len;
	return n;
}

void table_encode(const struct table *table, const void *record, struct buf *rows)
{
	uint8_t *start = buf_room(rows, row_bytes_max(table, record)), *p = start;

	if (!start)
		return;
	p = copy_row(p, table->count);
	for (unsigned i = 0; i < table->count; i++)
		p = put_column(p, &table->columns[i], record);
	rows->len += (size_t)(p - start);
}

void table_encode_stage(const struct table *table, struct str row, const struct staged *staged, struct buf *rows)
{
	uint8_t *start = buf_room(rows, STAGE_COLUMNS * (size_t)COPY_FIELD_MAX + row.len), *p = start;

	if (!start)
		return;
	p = copy_row(p, STAGE_COLUMNS + table->count);
	p = copy_int4(p, staged->sequence);
	p = copy_int4(p, staged->partition);
	p = copy_int8(p, (int64_t)record_mix(staged->ordinal));
	p = copy_int4(p, staged->round);
	p = copy_bool(p, staged->round > 1);
	memcpy(p, row.data + COPY_ROW_HEAD, row.len - COPY_ROW_HEAD);
	p += row.len - COPY_ROW_HEAD;
	rows->len += (size_t)(p - start);
}

/* --- keys of encoded rows -------------------------------------------------------------------------------------------- */

uint64_t table_key_hash(const struct table *table, struct str row)
{
	const uint8_t *p = (const uint8_t *)row.data + COPY_ROW_HEAD;
	uint64_t hash = HASH_SEED;

	for (unsigned i = 0; i < table->keys_end; i++) {
		size_t n = copy_field_bytes(p);

		if (table->columns[i].key)
			hash = hash_more(hash, p, n);
		p += n;
	}
	return hash;
}

bool table_key_column(const struct table *table, unsigned i, struct table_key *ret)
{
	for (const struct column *c = table->columns; c < table->columns + table->count; c++)
		if (c->key && i-- == 0) {
			*ret = (struct table_key){ c->name, types[c->kind].name, types[c->kind].oid,
						   c->kind == COLUMN_TEXT, c->part };
			return true;
		}
	return false;
}

static bool is_part(const struct column *column, enum key_part part)
{
	return column->key && column->part == part;
}

bool table_series_equal(const struct table *table, struct str a, struct str b)
{
	const uint8_t *p = (const uint8_t *)a.data + COPY_ROW_HEAD, *q = (const uint8_t *)b.data + COPY_ROW_HEAD;

	for (unsigned i = 0; i < table->keys_end; i++) {
		size_t n = copy_field_bytes(p), m = copy_field_bytes(q);

		if (is_part(&table->columns[i], KEY_SERIES) && (n != m || memcmp(p, q, n) != 0))
			return false;
		p += n;
		q += m;
	}
	return true;
}

static void put_fields(const struct table *table, struct str row, bool all, struct buf *fields)
{
	const uint8_t *p = (const uint8_t *)row.data + COPY_ROW_HEAD;

	for (unsigned i = 0; i < table->keys_end; i++) {
		size_t n = copy_field_bytes(p);

		if (all ? table->columns[i].key : is_part(&table->columns[i], KEY_SERIES))
			buf_put(fields++, p, n);
		p += n;
	}
}

void table_put_key(const struct table *table, struct str row, struct buf *fields)
{
	put_fields(table, row, true, fields);
}

void table_put_series(const struct table *table, struct str row, struct buf *fields)
{
	put_fields(table, row, false, fields);
}

struct str table_time_field(const struct table *table, struct str row)
{
	const uint8_t *p = (const uint8_t *)row.data + COPY_ROW_HEAD;
	unsigned i = 0;

	for (; !is_part(&table->columns[i], KEY_TIME); i++)
		p += copy_field_bytes(p);
	return (struct str){ (const char *)p, copy_field_bytes(p) };
}

/* No value of a key's columns is null, and none has two forms. */
bool table_rest_equal(const struct table *table, struct str row, const struct pg_result *result, int result_row,
		      int column)
{
	const uint8_t *p = (const uint8_t *)row.data + COPY_ROW_HEAD;

	for (unsigned i = 0; i < table->keys_end; i++) {
		size_t n = copy_field_bytes(p);

		if (is_part(&table->columns[i], KEY_REST)) {
			struct str there = pg_bytes(result, result_row, column++);

			if (there.len != n - COPY_FIELD_HEAD || memcmp(p + COPY_FIELD_HEAD, there.data, there.len) != 0)
				return false;
		}
		p += n;
	}
	return true;
}

bool table_content_equal(const struct table *table, struct str row, const struct pg_result *result, int result_row,
			 int column)
{
	const uint8_t *p = (const uint8_t *)row.data + COPY_ROW_HEAD;

	for (unsigned i = 0; i < table->count; i++) {
		size_t n = copy_field_bytes(p);

		if (table->columns[i].content) {
			struct str there = pg_bytes(result, result_row, column++);

			if (copy_is_null(p) ? there.data != NULL
					    : !there.data || there.len != n - COPY_FIELD_HEAD ||
						      memcmp(p + COPY_FIELD_HEAD, there.data, there.len) != 0)
				return false;
		}
		p += n;
	}
	return true;
}

/* Equal bytes are equal keys: no type of a key's columns has two forms of one value. */
bool table_key_equal(const struct table *table, struct str a, struct str b)
{
	const uint8_t *p = (const uint8_t *)a.data + COPY_ROW_HEAD, *q = (const uint8_t *)b.data + COPY_ROW_HEAD;

	for (unsigned i = 0; i < table->keys_end; i++) {
		size_t n = copy_field_bytes(p), m = copy_field_bytes(q);

		if (table->columns[i].key && (n != m || memcmp(p, q, n) != 0))
			return false;
		p += n;
		q += m;
	}
	return true;
}

int64_t table_time(const struct table *table, const void *record)
{
	int64_t ns = record_number(record, table->time);

	if (table->time->logical == LOGICAL_DATE && __builtin_mul_overflow(ns, NS_PER_DAY, &ns))
		return INT64_MAX;
	return ns;
}
