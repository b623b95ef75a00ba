#include "stages/fetcher/formats/dbn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/formats/dbn_live.h"
#include "stages/fetcher/formats/dbn_metadata.h"
#include "stages/fetcher/formats/dbn_types.h"

struct dbn_reader {
	char *path;
	struct byte_stream stream;
	unsigned version;      /* 0: the prefix was not read yet */
	uint32_t block_length; /* as the prefix says */
	struct buf block;      /* what the metadata's slices point into */
	struct dbn_metadata metadata;
	struct dbn_symbols symbols;
	struct dbn_live live; /* what symbol mapping records said so far */
	uint64_t records;     /* handed out */
};

/* The stream's own failure where it has one, else that it ended too early. */
static int fail_short(struct dbn_reader *reader, const char *what, size_t have, size_t want, struct err *err)
{
	uint64_t offset = byte_stream_offset(&reader->stream);

	if (reader->stream.failure.kind == ERR_OK)
		return err_set(err, ERR_RECORD, "%s at byte offset %" PRIu64 " is cut short: %zu of %zu bytes", what,
			       offset, have, want);
	*err = reader->stream.failure;
	return err_wrap(err, "%s at byte offset %" PRIu64, what, offset);
}

/* DBZ: a skippable zstd frame with its metadata, then compressed records. */
static int check_legacy(const struct byte_stream *stream, struct err *err)
{
	if (stream->head_len < 12 || stream->head[0] >> 4 != 5 || memcmp(stream->head + 8, "DBZ", 3) != 0)
		return 0;
	return err_set(
		err, ERR_RECORD,
		"a file of the legacy format DBZ (version 0, byte offset 8); supported are DBN versions 1 to 3: fetch it again");
}

/* A length and a type that belong together, in whichever version. */
static bool looks_like_record(const uint8_t *p, size_t n)
{
	const struct dbn_type *type = n >= 2 ? dbn_type_of(p[1]) : NULL;

	for (unsigned version = 0; type && version < DBN_VERSION; version++)
		if (p[0] * 4 == type->bytes[version] || p[0] * 4 == type->bytes[version] + DBN_TS_OUT_BYTES)
			return true;
	return false;
}

/* No DBN magic: says which of the likely other things it is. */
static int fail_magic(const uint8_t *p, size_t n, struct err *err)
{
	if (looks_like_record(p, n))
		return err_set(
			err, ERR_RECORD,
			"a DBN fragment (records without metadata at byte offset 0); only whole files are supported");
	return err_set(err, ERR_RECORD, "no DBN file: the first bytes are not 'DBN' (byte offset 0)");
}

static int check_prefix(struct dbn_reader *reader, struct bytes in, struct err *err)
{
	unsigned version;

	bytes_take(&in, 3);
	version = bytes_u8(&in);
	if (version < 1 || version > DBN_VERSION)
		return err_set(
			err, ERR_RECORD,
			"DBN version %u (byte offset 3); supported are versions 1 to %d: fetch it again in one of them",
			version, DBN_VERSION);
	reader->block_length = bytes_le32(&in);
	if (reader->block_length > DBN_METADATA_MAX)
		return err_set(err, ERR_RECORD, "metadata of %" PRIu32 " bytes (byte offset 4); at most %u are read",
			       reader->block_length, DBN_METADATA_MAX);
	reader->version = version;
	return 0;
}

static enum dbn_step read_prefix(struct dbn_reader *reader, struct err *err)
{
	struct byte_stream *stream = &reader->stream;
	size_t n = byte_stream_need(stream, DBN_PREFIX_BYTES);
	const uint8_t *p = byte_stream_at(stream);

	if (n < DBN_PREFIX_BYTES && stream->starved)
		return DBN_LATER;
	if (check_legacy(stream, err))
		return DBN_FAILED;
	if (n < DBN_PREFIX_BYTES && stream->failure.kind != ERR_OK)
		return fail_short(reader, "metadata", n, DBN_PREFIX_BYTES, err);
	if (memcmp(p, "DBN", n < 3 ? n : 3) != 0)
		return fail_magic(p, n, err);
	if (n < DBN_PREFIX_BYTES)
		return fail_short(reader, "metadata", n, DBN_PREFIX_BYTES, err);
	if (check_prefix(reader, bytes_of(p, n), err))
		return DBN_FAILED;
	stream->pos += DBN_PREFIX_BYTES;
	reader->block.max = reader->block_length;
	return DBN_READ;
}

/* Piece by piece, so that a length that lies costs no memory. */
static enum dbn_step read_block(struct dbn_reader *reader, struct err *err)
{
	struct byte_stream *stream = &reader->stream;

	while (reader->block.len < reader->block_length) {
		size_t rest = reader->block_length - reader->block.len;
		size_t want = rest < BYTE_STREAM_NEED_MAX ? rest : BYTE_STREAM_NEED_MAX;
		size_t have = byte_stream_need(stream, want);

		if (have < want && stream->starved)
			return DBN_LATER;
		if (have < want)
			return fail_short(reader, "metadata", reader->block.len + have, reader->block_length, err);
		buf_put(&reader->block, byte_stream_at(stream), want);
		stream->pos += want;
	}
	return DBN_READ;
}

static enum dbn_step begin(struct dbn_reader *reader, struct err *err)
{
	enum dbn_step step = reader->version > 0 ? DBN_READ : read_prefix(reader, err);

	if (step == DBN_READ)
		step = read_block(reader, err);
	if (step != DBN_READ)
		return step;
	if (dbn_metadata_parse(&reader->metadata, reader->version, buf_str(&reader->block), err))
		return DBN_FAILED;
	dbn_symbols_build(&reader->symbols, &reader->metadata);
	return DBN_READ;
}

enum dbn_step dbn_begin(struct dbn_reader *reader, struct err *err)
{
	enum dbn_step step = begin(reader, err);

	if (step == DBN_FAILED)
		err_wrap(err, "%s", reader->path);
	return step;
}

struct dbn_reader *dbn_new(const char *name, const struct byte_input *input)
{
	struct dbn_reader *reader = mem_zalloc(1, sizeof(*reader));

	reader->path = mem_strdup(name);
	byte_stream_open_input(&reader->stream, input);
	return reader;
}

int dbn_open(struct dbn_reader **ret, const char *path, struct err *err)
{
	CLEANUP(dbn_freep) struct dbn_reader *reader = mem_zalloc(1, sizeof(*reader));

	reader->path = mem_strdup(path);
	if (byte_stream_open(&reader->stream, path, err))
		return err_wrap(err, "%s", path);
	if (dbn_begin(reader, err) == DBN_FAILED)
		return -1;
	*ret = STEAL(reader);
	return 0;
}

void dbn_freep(struct dbn_reader **reader)
{
	struct dbn_reader *self = *reader;

	*reader = NULL;
	if (!self)
		return;
	dbn_live_release(&self->live);
	dbn_symbols_release(&self->symbols);
	dbn_metadata_release(&self->metadata);
	buf_release(&self->block);
	byte_stream_release(&self->stream);
	free(self->path);
	free(self);
}

const struct dbn_metadata *dbn_metadata(const struct dbn_reader *reader)
{
	return &reader->metadata;
}

int64_t dbn_input_bytes(const struct dbn_reader *reader)
{
	return byte_stream_input_bytes(&reader->stream);
}

int dbn_fd(const struct dbn_reader *reader)
{
	return reader->stream.fd;
}

static int fail_record(struct dbn_reader *reader, size_t have, size_t want, struct err *err)
{
	char what[40];

	snprintf(what, sizeof(what), "record %" PRIu64, reader->records + 1);
	fail_short(reader, what, have, want, err);
	return err_wrap(err, "%s", reader->path);
}

enum dbn_step dbn_next(struct dbn_reader *reader, struct dbn_record *ret, struct err *err)
{
	struct byte_stream *stream = &reader->stream;
	size_t left = byte_stream_need(stream, DBN_HEADER_BYTES);
	struct bytes in = bytes_of(byte_stream_at(stream), left);
	size_t length;

	if (left == 0 && stream->failure.kind == ERR_OK)
		return stream->starved ? DBN_LATER : DBN_END;
	length = left > 0 ? *in.pos * (size_t)4 : DBN_HEADER_BYTES;
	if (length < DBN_HEADER_BYTES)
		return err_set(err, ERR_RECORD,
			       "%s: record %" PRIu64 " at byte offset %" PRIu64
			       " says it has %zu bytes: corrupt, a header alone has %d",
			       reader->path, reader->records + 1, byte_stream_offset(stream), length, DBN_HEADER_BYTES);
	if (left < length) {
		left = byte_stream_need(stream, length);
		if (left < length)
			return stream->starved ? DBN_LATER : fail_record(reader, left, length, err);
		in = bytes_of(byte_stream_at(stream), length);
	}
	ret->bytes = (struct str){ (const char *)in.pos, (uint32_t)length };
	bytes_take(&in, 1);
	ret->rtype = bytes_u8(&in);
	ret->publisher_id = bytes_le16(&in);
	ret->instrument_id = bytes_le32(&in);
	ret->ts_event = bytes_le64(&in);
	ret->number = ++reader->records;
	ret->byte_offset = byte_stream_offset(stream);
	stream->pos += length;
	return DBN_READ;
}

uint32_t dbn_record_bytes(const struct dbn_reader *reader, uint8_t rtype)
{
	const struct dbn_type *type = dbn_type_of(rtype);

	if (!type)
		return 0;
	return type->bytes[reader->metadata.version - 1] + (reader->metadata.ts_out ? DBN_TS_OUT_BYTES : 0);
}

bool dbn_ohlcv(const struct dbn_reader *reader, const struct dbn_record *record, struct dbn_ohlcv *ret)
{
	struct bytes in = bytes_of(record->bytes.data, record->bytes.len);

	if (!dbn_ohlcv_schema(record->rtype) || record->bytes.len != dbn_record_bytes(reader, record->rtype))
		return false;
	bytes_take(&in, DBN_HEADER_BYTES);
	ret->open = (int64_t)bytes_le64(&in);
	ret->high = (int64_t)bytes_le64(&in);
	ret->low = (int64_t)bytes_le64(&in);
	ret->close = (int64_t)bytes_le64(&in);
	ret->volume = bytes_le64(&in);
	return !in.failed;
}

bool dbn_ts_out(const struct dbn_reader *reader, const struct dbn_record *record, uint64_t *ret_ns)
{
	struct bytes in = bytes_of(record->bytes.data, record->bytes.len);

	if (!reader->metadata.ts_out || record->bytes.len < DBN_HEADER_BYTES + DBN_TS_OUT_BYTES)
		return false;
	bytes_take(&in, record->bytes.len - DBN_TS_OUT_BYTES);
	*ret_ns = bytes_le64(&in);
	return true;
}

struct str dbn_symbol(const struct dbn_reader *reader, uint32_t instrument_id, uint64_t ns)
{
	struct str live = { "", 0 };

	if (reader->live.count > 0)
		live = dbn_live_find(&reader->live, instrument_id);
	if (live.len > 0)
		return live;
	return dbn_symbols_find(&reader->symbols, instrument_id, (int32_t)(ns / (uint64_t)NS_PER_DAY));
}

static struct str mapped_symbol(const struct dbn_reader *reader, const struct dbn_record *record, const char *name)
{
	struct dbn_value value;

	for (const struct dbn_field *field = dbn_type_of(DBN_SYMBOL_MAPPING)->fields; field->name; field++)
		if (strcmp(field->name, name) == 0 &&
		    dbn_field_read(field, reader->metadata.version, record->bytes, &value))
			return value.text;
	return (struct str){ "", 0 };
}

static bool is_number(struct str text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return text.len > 0;
}

int dbn_map_symbol(struct dbn_reader *reader, const struct dbn_record *record, struct err *err)
{
	uint32_t bytes = dbn_record_bytes(reader, DBN_SYMBOL_MAPPING);
	struct str symbol;

	if (record->bytes.len != bytes)
		return err_set(err, ERR_RECORD, "%u bytes, symbol_mapping has %u", record->bytes.len, bytes);
	symbol = mapped_symbol(reader, record, "stype_out_symbol");
	if (is_number(symbol))
		symbol = mapped_symbol(reader, record, "stype_in_symbol");
	if (!str_is_text(symbol))
		return err_set(err, ERR_RECORD, "the symbol is not UTF-8");
	if (!dbn_live_put(&reader->live, record->instrument_id, symbol))
		return err_set(err, ERR_RECORD, "more than %u instruments or %u bytes of symbols are mapped",
			       DBN_LIVE_MAX, DBN_LIVE_TEXT_MAX);
	return 0;
}
