#include "ops/simulator/dbn_write.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "ops/simulator/dbn_head.h"

#define OUTPUT_BYTES (256 * 1024)
#define ZSTD_LEVEL 3

struct dbn_writer {
	int fd;
	char *path;
	char *part;      /* the file's name until it is complete */
	ZSTD_CCtx *zstd; /* NULL: plain */
	uint8_t *out;
	size_t out_len;
	int64_t bytes; /* written to the file */
};

/* --- metadata ---------------------------------------------------------------------------------------------------- */

static int write_metadata(struct dbn_writer *writer, const struct dbn_metadata *metadata, struct err *err)
{
	CLEANUP(buf_release) struct buf head = BUF_INIT(DBN_METADATA_MAX + 8);

	if (dbn_head_put(&head, metadata, DBN_VERSION, err))
		return -1;
	return dbn_writer_put(writer, head.data, head.len, err);
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

static int flush(struct dbn_writer *writer, struct err *err)
{
	size_t done = 0;

	while (done < writer->out_len) {
		ssize_t n = write(writer->fd, writer->out + done, writer->out_len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_RETRY, "%s", strerror(errno));
		done += (size_t)n;
	}
	writer->bytes += (int64_t)done;
	writer->out_len = 0;
	return 0;
}

static int put_plain(struct dbn_writer *writer, const uint8_t *bytes, size_t n, struct err *err)
{
	while (n > 0) {
		size_t room = OUTPUT_BYTES - writer->out_len;
		size_t part = n < room ? n : room;

		memcpy(writer->out + writer->out_len, bytes, part);
		writer->out_len += part;
		bytes += part;
		n -= part;
		if (writer->out_len == OUTPUT_BYTES && flush(writer, err))
			return -1;
	}
	return 0;
}

static int put_zstd(struct dbn_writer *writer, const void *bytes, size_t n, ZSTD_EndDirective end, struct err *err)
{
	ZSTD_inBuffer in = { bytes, n, 0 };
	size_t rest;

	do {
		ZSTD_outBuffer out = { writer->out, OUTPUT_BYTES, writer->out_len };

		rest = ZSTD_compressStream2(writer->zstd, &out, &in, end);
		if (ZSTD_isError(rest))
			return err_set(err, ERR_RETRY, "zstd: %s", ZSTD_getErrorName(rest));
		writer->out_len = out.pos;
		if (writer->out_len == OUTPUT_BYTES && flush(writer, err))
			return -1;
	} while (in.pos < in.size || (end == ZSTD_e_end && rest > 0));
	return 0;
}

int dbn_writer_put(struct dbn_writer *writer, const void *records, size_t bytes, struct err *err)
{
	if (writer->zstd ? put_zstd(writer, records, bytes, ZSTD_e_continue, err)
			 : put_plain(writer, records, bytes, err))
		return err_wrap(err, "%s", writer->path);
	return 0;
}

static int start_zstd(struct dbn_writer *writer, struct err *err)
{
	size_t failed;

	writer->zstd = ZSTD_createCCtx();
	if (!writer->zstd)
		return err_set(err, ERR_RETRY, "no memory for a zstd encoder");
	failed = ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	if (!ZSTD_isError(failed))
		failed = ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_checksumFlag, 1);
	return ZSTD_isError(failed) ? err_set(err, ERR_RETRY, "zstd: %s", ZSTD_getErrorName(failed)) : 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* The complete file replaces what has its name: a device or a pipe must not be replaced. */
static int check_regular(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, ERR_FATAL, "%s: not a regular file", path);
	return 0;
}

int dbn_writer_open(struct dbn_writer **ret, const char *path, const struct dbn_metadata *metadata, struct err *err)
{
	CLEANUP(dbn_writer_freep) struct dbn_writer *writer = NULL;

	if (check_regular(path, err))
		return -1;
	writer = mem_zalloc(1, sizeof(*writer));
	writer->path = mem_strdup(path);
	writer->part = mem_printf("%s.part", path);
	writer->out = mem_alloc(OUTPUT_BYTES);
	writer->fd = open(writer->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (writer->fd < 0)
		return err_set(err, ERR_RETRY, "%s: %s", writer->part, strerror(errno));
	if (ends_with(path, ".zst") && start_zstd(writer, err))
		return err_wrap(err, "%s", path);
	if (write_metadata(writer, metadata, err))
		return -1;
	*ret = STEAL(writer);
	return 0;
}

static int complete(struct dbn_writer *writer, struct err *err)
{
	if ((writer->zstd && put_zstd(writer, NULL, 0, ZSTD_e_end, err)) || flush(writer, err))
		return err_wrap(err, "%s", writer->path);
	if (close(writer->fd) != 0 || rename(writer->part, writer->path) != 0) {
		writer->fd = -1;
		unlink(writer->part);
		return err_set(err, ERR_RETRY, "%s: %s", writer->path, strerror(errno));
	}
	writer->fd = -1;
	return 0;
}

int dbn_writer_close(struct dbn_writer **writer, int64_t *ret_bytes, struct err *err)
{
	CLEANUP(dbn_writer_freep) struct dbn_writer *self = STEAL(*writer);

	if (complete(self, err))
		return -1;
	*ret_bytes = self->bytes;
	return 0;
}

void dbn_writer_freep(struct dbn_writer **writer)
{
	struct dbn_writer *self = *writer;

	*writer = NULL;
	if (!self)
		return;
	if (self->fd >= 0) {
		close(self->fd);
		unlink(self->part);
	}
	ZSTD_freeCCtx(self->zstd);
	free(self->out);
	free(self->part);
	free(self->path);
	free(self);
}

void dbn_put_ohlcv(uint8_t ret_bytes[DBN_OHLCV_BYTES], const struct dbn_record *header, const struct dbn_ohlcv *bar)
{
	struct {
		uint8_t length, rtype;
		uint16_t publisher_id;
		uint32_t instrument_id;
		uint64_t ts_event, open, high, low, close, volume;
	} out = {
		DBN_OHLCV_BYTES / 4,           header->rtype,
		htole16(header->publisher_id), htole32(header->instrument_id),
		htole64(header->ts_event),     htole64((uint64_t)bar->open),
		htole64((uint64_t)bar->high),  htole64((uint64_t)bar->low),
		htole64((uint64_t)bar->close), htole64(bar->volume),
	};

	_Static_assert(sizeof(out) == DBN_OHLCV_BYTES, "a bar has no padding");
	memcpy(ret_bytes, &out, sizeof(out));
}
