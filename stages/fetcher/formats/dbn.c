#include "stages/fetcher/formats/dbn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/fetcher/formats/dbn_metadata.h"
#include "stages/fetcher/formats/byte_stream.h"

struct dbn_reader {
	char *path;
	struct byte_stream stream;
	struct buf block; /* what the metadata's slices point into */
	struct dbn_metadata metadata;
	struct dbn_symbols symbols;
	uint64_t records; /* handed out */
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
	return err_set(err, ERR_RECORD,
		       "a file of the legacy format DBZ (version 0); supported is DBN version 3: fetch it again");
}

/* No DBN magic: says which of the likely other things it is. */
static int fail_magic(const uint8_t *p, size_t n, struct err *err)
{
	if (n >= 2 && p[0] * 4 >= DBN_HEADER_BYTES && dbn_rtype_known(p[1]))
		return err_set(
			err, ERR_RECORD,
			"a DBN fragment (records without metadata at byte offset 0); only whole files are supported");
	return err_set(err, ERR_RECORD, "no DBN file: the first bytes are not 'DBN' (byte offset 0)");
}

static int read_prefix(struct dbn_reader *reader, uint32_t *ret_length, struct err *err)
{
	struct byte_stream *stream = &reader->stream;
	size_t n = byte_stream_need(stream, DBN_PREFIX_BYTES);
	const uint8_t *p = byte_stream_at(stream);
	struct bytes in = bytes_of(p, n);
	uint8_t version;

	if (n < DBN_PREFIX_BYTES && stream->failure.kind != ERR_OK)
		return fail_short(reader, "metadata", n, DBN_PREFIX_BYTES, err);
	if (memcmp(p, "DBN", n < 3 ? n : 3) != 0)
		return fail_magic(p, n, err);
	if (n < DBN_PREFIX_BYTES)
		return fail_short(reader, "metadata", n, DBN_PREFIX_BYTES, err);
	bytes_take(&in, 3);
	version = bytes_u8(&in);
	if (version != DBN_VERSION)
		return err_set(
			err, ERR_RECORD,
			"DBN version %u (byte offset 3); supported is version %d: fetch it again in that version",
			version, DBN_VERSION);
	*ret_length = bytes_le32(&in);
	stream->pos += DBN_PREFIX_BYTES;
	if (*ret_length > DBN_METADATA_MAX)
		return err_set(err, ERR_RECORD, "metadata of %" PRIu32 " bytes (byte offset 4); at most %u are read",
			       *ret_length, DBN_METADATA_MAX);
	return 0;
}

/* Piece by piece, so that a length that lies costs no memory. */
static int read_block(struct dbn_reader *reader, uint32_t length, struct err *err)
{
	struct byte_stream *stream = &reader->stream;

	reader->block.max = length;
	while (reader->block.len < length) {
		size_t rest = length - reader->block.len;
		size_t want = rest < BYTE_STREAM_NEED_MAX ? rest : BYTE_STREAM_NEED_MAX;
		size_t have = byte_stream_need(stream, want);

		if (have < want)
			return fail_short(reader, "metadata", reader->block.len + have, length, err);
		buf_put(&reader->block, byte_stream_at(stream), want);
		stream->pos += want;
	}
	return 0;
}

static int open_reader(struct dbn_reader *reader, const char *path, struct err *err)
{
	uint32_t length = 0;

	if (byte_stream_open(&reader->stream, path, err) || check_legacy(&reader->stream, err) ||
	    read_prefix(reader, &length, err) || read_block(reader, length, err) ||
	    dbn_metadata_parse(&reader->metadata, buf_str(&reader->block), err))
		return -1;
	dbn_symbols_build(&reader->symbols, &reader->metadata);
	return 0;
}

int dbn_open(struct dbn_reader **ret, const char *path, struct err *err)
{
	CLEANUP(dbn_freep) struct dbn_reader *reader = mem_zalloc(1, sizeof(*reader));

	reader->stream = (struct byte_stream)BYTE_STREAM_INIT;
	reader->path = mem_strdup(path);
	if (open_reader(reader, path, err))
		return err_wrap(err, "%s", path);
	*ret = STEAL(reader);
	return 0;
}

void dbn_freep(struct dbn_reader **reader)
{
	struct dbn_reader *self = *reader;

	*reader = NULL;
	if (!self)
		return;
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

int dbn_next(struct dbn_reader *reader, struct dbn_record *ret, struct err *err)
{
	struct byte_stream *stream = &reader->stream;
	size_t left = byte_stream_need(stream, DBN_HEADER_BYTES);
	struct bytes in = bytes_of(byte_stream_at(stream), left);
	size_t length;

	if (left == 0 && stream->failure.kind == ERR_OK)
		return 0;
	length = left > 0 ? *in.pos * (size_t)4 : DBN_HEADER_BYTES;
	if (length < DBN_HEADER_BYTES)
		return err_set(err, ERR_RECORD,
			       "%s: record %" PRIu64 " at byte offset %" PRIu64
			       " says it has %zu bytes: corrupt, a header alone has %d",
			       reader->path, reader->records + 1, byte_stream_offset(stream), length, DBN_HEADER_BYTES);
	if (left < length) {
		left = byte_stream_need(stream, length);
		if (left < length)
			return fail_record(reader, left, length, err);
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
	return 1;
}

static size_t ts_out_bytes(const struct dbn_reader *reader)
{
	return reader->metadata.ts_out ? DBN_TS_OUT_BYTES : 0;
}

bool dbn_ohlcv(const struct dbn_reader *reader, const struct dbn_record *record, struct dbn_ohlcv *ret)
{
	struct bytes in = bytes_of(record->bytes.data, record->bytes.len);

	if (!dbn_ohlcv_schema(record->rtype) || record->bytes.len != DBN_OHLCV_BYTES + ts_out_bytes(reader))
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

struct str dbn_symbol(const struct dbn_reader *reader, uint32_t instrument_id, uint64_t ts_event)
{
	return dbn_symbols_find(&reader->symbols, instrument_id, (int32_t)(ts_event / (uint64_t)NS_PER_DAY));
}
