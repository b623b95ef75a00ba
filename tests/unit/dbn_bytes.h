#pragma once
/* DBN of any version, byte by byte: what the writer of the simulator does not write. */
#include "tests/unit/dbn_files.h"

#include "schemas.h"
#include "stages/fetcher/formats/dbn_types.h"
#include "tests/unit/file_source.h"

#define MIXED UINT16_MAX
#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

static inline void bytes_put(struct buf *to, uint64_t value, unsigned bytes)
{
	value = htole64(value);
	buf_put(to, &value, bytes);
}

static inline void bytes_put_text(struct buf *to, const char *text, unsigned width)
{
	char field[128] = { 0 };

	assert_in_range(strlen(text), 0, width);
	memcpy(field, text, strlen(text));
	buf_put(to, field, width);
}

/* Instrument 1 is AAPL on the 2nd of January 2024. */
static inline void bytes_put_metadata(struct buf *to, unsigned version, uint16_t schema, bool ts_out)
{
	struct buf block = BUF_INIT(4096);
	unsigned width = version == 1 ? 22 : 71;

	bytes_put_text(&block, "XNAS.ITCH", 16);
	bytes_put(&block, schema, 2);
	bytes_put(&block, 0, 8);
	bytes_put(&block, UINT64_MAX, 8);
	bytes_put(&block, 0, 8);
	if (version == 1)
		bytes_put(&block, UINT64_MAX, 8);
	bytes_put(&block, DBN_STYPE_RAW_SYMBOL, 1);
	bytes_put(&block, DBN_STYPE_INSTRUMENT_ID, 1);
	bytes_put(&block, ts_out, 1);
	if (version > 1)
		bytes_put(&block, width, 2);
	while (block.len < 100 + 4 + 3 * 4) /* no schema definition, no lists */
		bytes_put(&block, 0, 1);
	bytes_put(&block, 1, 4);
	bytes_put_text(&block, "AAPL", width);
	bytes_put(&block, 1, 4);
	bytes_put(&block, 20240102, 4);
	bytes_put(&block, 20240103, 4);
	bytes_put_text(&block, "1", width);
	while (version > 2 && block.len % 8 > 0)
		bytes_put(&block, 0, 1);
	buf_put(to, "DBN", 3);
	bytes_put(to, version, 1);
	bytes_put(to, block.len, 4);
	buf_put(to, block.data, block.len);
	buf_release(&block);
}

/* A record to be filled in with set(): all zero but its header. */
struct bytes_record {
	unsigned version;
	uint8_t bytes[DBN_RECORD_MAX];
	uint32_t len;
};

static inline struct bytes_record bytes_record(unsigned version, uint8_t rtype)
{
	struct bytes_record record = { version, { 0 }, dbn_type_of(rtype)->bytes[version - 1] };
	uint64_t noon = htole64(FILES_NOON);

	record.bytes[0] = (uint8_t)(record.len / 4);
	record.bytes[1] = rtype;
	record.bytes[2] = 2;
	record.bytes[4] = 1;
	memcpy(record.bytes + 8, &noon, sizeof(noon));
	return record;
}

static inline void bytes_set(struct bytes_record *record, unsigned at, uint64_t value, unsigned bytes)
{
	value = htole64(value);
	assert_in_range(at + bytes, 0, record->len);
	memcpy(record->bytes + at, &value, bytes);
}

static inline const struct dbn_field *bytes_field(unsigned version, uint8_t rtype, const char *name)
{
	for (const struct dbn_field *field = dbn_type_of(rtype)->fields; field->name; field++)
		if (strcmp(field->name, name) == 0 && field->at[version - 1] > 0)
			return field;
	return NULL;
}

/* By the field's name. */
static inline void bytes_set_number(struct bytes_record *record, const char *name, uint64_t value)
{
	static const unsigned sizes[] = {
		[DBN_U8] = 1,  [DBN_I8] = 1,  [DBN_CHAR] = 1, [DBN_U16] = 2,   [DBN_I16] = 2,  [DBN_U32] = 4,
		[DBN_I32] = 4, [DBN_U64] = 8, [DBN_I64] = 8,  [DBN_PRICE] = 8, [DBN_TIME] = 8,
	};
	const struct dbn_field *field = bytes_field(record->version, record->bytes[1], name);

	assert_non_null(field);
	bytes_set(record, field->at[record->version - 1], value, sizes[field->kind]);
}

static inline void bytes_set_text(struct bytes_record *record, const char *name, const char *text)
{
	const struct dbn_field *field = bytes_field(record->version, record->bytes[1], name);

	assert_non_null(field);
	assert_in_range(strlen(text), 0, field->bytes);
	memcpy(record->bytes + field->at[record->version - 1], text, strlen(text));
}

static inline void bytes_put_record(struct buf *to, const struct bytes_record *record)
{
	buf_put(to, record->bytes, record->len);
}

/* Writes and releases the bytes, and opens them as a task's file. */
static inline struct source *bytes_open(struct buf *file, const char *schema)
{
	const char *path = files_path("bytes.dbn");
	struct fetch_task task = { .source = (char *)"file", .path = (char *)path, .schema = (char *)schema };
	struct source *source = NULL;
	struct err err = ERR_INIT;

	files_write(path, file->data, file->len);
	buf_release(file);
	if (file_source_open(&source, &task, &err))
		fail_msg("%s", err.text);
	return source;
}

static inline struct source_item bytes_next(struct source *source, enum source_kind kind)
{
	struct source_item item;
	struct err err = ERR_INIT;

	if (source_next(source, &item, &err))
		fail_msg("%s", err.text);
	if (item.kind != kind)
		fail_msg("item of kind %u, not %u: %s", item.kind, kind, item.message ? item.message : "");
	return item;
}
