/*
 * libFuzzer's target of the text formats: the first byte chooses task and
 * format, the rest is the file. Whatever it is, each item can be encoded, what
 * is refused says why as UTF-8, and it ends.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buf.h"
#include "stages/fetcher/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COLUMNS "\"time\": \"t\", \"symbol\": \"s\""

static const struct {
	const char *schema, *parameters;
} tasks[] = {
	{ "", "" },
	{ "tbbo", "" },
	{ "ohlcv-1m", "{\"format\": \"csv\", \"csv\": {" COLUMNS "}}" },
	{ "ohlcv-1d", "{\"format\": \"csv\", \"csv\": {" COLUMNS ", \"price_text\": \"float32\", \"time_zone\": "
		      "\"America/New_York\", \"delimiter\": \";\"}}" },
	{ "ohlcv-1s", "{\"format\": \"csv\", \"csv\": {\"header\": \"false\", \"time\": \"1\", \"open\": \"2\", "
		      "\"high\": \"3\", \"low\": \"4\", \"close\": \"5\", \"volume\": \"6\", \"symbol\": \"7\", "
		      "\"price_text\": \"float64\", \"time_format\": \"%Y%m%d %H:%M:%S.%f\"}}" },
};

static void check(const struct source_item *item, size_t size, size_t count)
{
	struct buf out = BUF_INIT(1 << 20);

	if (item->kind == SOURCE_RECORD)
		record_encode(item->type, item->record, &out);
	if (item->kind == SOURCE_REFUSED && (!str_is_text(str_of(item->message)) || item->bytes.len > size))
		abort();
	if (!str_is_text(item->symbol) || count > size)
		abort();
	buf_release(&out);
}

static void read_all(const struct fetch_task *task, size_t size)
{
	struct source *source = NULL;
	struct source_item item = { .kind = SOURCE_SKIPPED };
	struct err err = ERR_INIT;

	if (source_open(&source, task, &err) == 0)
		for (size_t n = 1; item.kind != SOURCE_END && source_next(source, &item, &err) == 0; n++)
			if (item.kind != SOURCE_END)
				check(&item, size, n);
	if (err.kind != ERR_OK && (err.kind != ERR_RECORD || !str_is_text(str_of(err.text))))
		abort();
	source_freep(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t choice = size > 0 ? data[0] % (sizeof(tasks) / sizeof(*tasks)) : 0;
	char path[64];
	int fd = memfd_create("fuzz", 0);
	struct fetch_task task = {
		.source = (char *)"file",
		.path = path,
		.dataset = (char *)"GLBX.MDP3",
		.schema = (char *)tasks[choice].schema,
		.parameters = (char *)tasks[choice].parameters,
	};

	if (fd < 0 || (size > 1 && write(fd, data + 1, size - 1) != (ssize_t)size - 1))
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_all(&task, size);
	close(fd);
	return 0;
}
