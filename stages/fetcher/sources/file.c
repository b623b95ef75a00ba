/*
 * Source `file`: one file is one task. Which format it has is told by its
 * first bytes (of what is inside, where it is compressed); items are the
 * file's in their order, so an unchanged file gives the same items each time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/formats/csv_plan.h"
#include "stages/fetcher/formats/format.h"
#include "stages/fetcher/sources/sources.h"

#define SNIFF_BYTES 4096

struct file_source {
	struct source base;
	struct format *format;
	char identity[96];
};

/* Formats by their first bytes; the last one takes what no other knows, and says what is wrong with it. */
static bool is_anything(const uint8_t *head, size_t n)
{
	(void)head;
	(void)n;
	return true;
}

/* Behind a byte order mark, if there is one. */
static struct str text_of(const uint8_t *head, size_t n)
{
	size_t mark = n >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;

	return (struct str){ (const char *)head + mark, (uint32_t)(n - mark) };
}

static bool is_json(const uint8_t *head, size_t n)
{
	struct str text = text_of(head, n);

	return text.len > 0 && text.data[0] == '{';
}

/* Databento's header begins with one of two names. */
static bool is_databento_csv(const uint8_t *head, size_t n)
{
	struct str text = text_of(head, n);

	return text.len > 9 && (memcmp(text.data, "ts_recv,", 8) == 0 || memcmp(text.data, "ts_event,", 9) == 0);
}

static const struct {
	bool (*matches)(const uint8_t *head, size_t n); /* up to SNIFF_BYTES, uncompressed */
	const struct format_ops *ops;
} formats[] = {
	{ is_json, &format_databento_json_ops },
	{ is_databento_csv, &format_databento_csv_ops },
	{ is_anything, &format_dbn_ops },
};

#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

/* A pipe or a device would block, or never be the same twice. */
static int check_regular(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return err_set(err, ERR_RECORD, "%s: not a regular file", path);
	return 0; /* what stat() has to say, opening says with a kind */
}

/* NULL: the file cannot be opened. One that is corrupt from its start is left to the last format. */
static const struct format_ops *tell_format(const char *path, struct err *err)
{
	CLEANUP(byte_stream_release) struct byte_stream stream = BYTE_STREAM_INIT;
	size_t n, i = 0;

	if (byte_stream_open(&stream, path, err)) {
		err_wrap(err, "%s", path);
		return NULL;
	}
	n = byte_stream_need(&stream, SNIFF_BYTES);
	while (i + 1 < FORMAT_COUNT && !formats[i].matches(byte_stream_at(&stream), n < SNIFF_BYTES ? n : SNIFF_BYTES))
		i++;
	return formats[i].ops;
}

/* By the task, else by the file. */
static const struct format_ops *choose_format(const struct fetch_task *task, struct err *err)
{
	bool plain_csv;

	if (csv_plan_wanted(task, &plain_csv, err))
		return NULL;
	return plain_csv ? &format_csv_bars_ops : tell_format(task->path, err);
}

static int set_identity(struct file_source *self, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(self->format->ops->fd(self->format), &st) != 0)
		return err_set(err, ERR_RETRY, "%s: %s", path, strerror(errno));
	snprintf(self->identity, sizeof(self->identity), "%ju:%ju:%jd:%jd", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
		 (intmax_t)st.st_size, (intmax_t)(st.st_mtim.tv_sec * NS_PER_SECOND + st.st_mtim.tv_nsec));
	return 0;
}

static void file_free(struct source *source)
{
	struct file_source *self = (struct file_source *)source;

	format_freep(&self->format);
	free(self);
}

static int file_open(struct source **ret, const struct source_env *env, const struct fetch_task *task,
		     const char *resume, struct err *err)
{
	const struct format_ops *ops;
	struct file_source *self;
	CLEANUP(source_freep) struct source *source = NULL;

	(void)env;
	(void)resume; /* an item's number says where it is */
	if (!task->path || !*task->path)
		return err_set(err, ERR_RECORD, "the task names no path");
	if (check_regular(task->path, err))
		return -1;
	ops = choose_format(task, err);
	if (!ops)
		return -1;
	self = mem_zalloc(1, sizeof(*self));
	source = &self->base;
	source->ops = &source_file_ops;
	if (ops->open(&self->format, task->path, task, err) || set_identity(self, task->path, err))
		return -1;
	*ret = STEAL(source);
	return 0;
}

static int file_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	struct format *format = ((struct file_source *)source)->format;

	return format->ops->next(format, ret_item, err);
}

static const char *file_identity(const struct source *source)
{
	return ((const struct file_source *)source)->identity;
}

static int64_t file_input_bytes(const struct source *source)
{
	const struct format *format = ((const struct file_source *)source)->format;

	return format->ops->input_bytes(format);
}

const struct source_ops source_file_ops = {
	.name = "file",
	.open = file_open,
	.next = file_next,
	.identity = file_identity,
	.input_bytes = file_input_bytes,
	.free = file_free,
};
