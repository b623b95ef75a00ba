#include "stages/fetcher/formats/text_lines.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/mem.h"

static const uint8_t byte_order_mark[] = { 0xEF, 0xBB, 0xBF };

int text_lines_open(struct text_lines *lines, const char *path, struct err *err)
{
	*lines = (struct text_lines)TEXT_LINES_INIT;
	lines->path = mem_strdup(path);
	if (byte_stream_open(&lines->stream, path, err))
		return -1;
	if (byte_stream_need(&lines->stream, sizeof(byte_order_mark)) >= sizeof(byte_order_mark) &&
	    memcmp(byte_stream_at(&lines->stream), byte_order_mark, sizeof(byte_order_mark)) == 0)
		lines->stream.pos += sizeof(byte_order_mark);
	return 0;
}

void text_lines_release(struct text_lines *lines)
{
	byte_stream_release(&lines->stream);
	free(lines->path);
	*lines = (struct text_lines)TEXT_LINES_INIT;
}

/* The first LF at or after `from` bytes of the window, within a line's maximum; NULL where there is none (yet). */
static const uint8_t *find_end(const struct text_lines *lines, size_t from)
{
	size_t left = byte_stream_left(&lines->stream), n = left < TEXT_LINE_MAX ? left : TEXT_LINE_MAX;

	return n > from ? memchr(byte_stream_at(&lines->stream) + from, '\n', n - from) : NULL;
}

/* The same, with as much in the window as it takes. */
static const uint8_t *need_end(struct text_lines *lines, size_t from)
{
	const uint8_t *end = find_end(lines, from);

	if (end || byte_stream_left(&lines->stream) >= TEXT_LINE_MAX)
		return end;
	byte_stream_need(&lines->stream, TEXT_LINE_MAX);
	return find_end(lines, from);
}

/* The line is so many bytes of the window, its end among them where there is one. */
static void take(struct text_lines *lines, size_t n)
{
	const char *text = (const char *)byte_stream_at(&lines->stream);

	lines->taken = n;
	lines->offset = byte_stream_offset(&lines->stream);
	lines->complete = n > 0 && text[n - 1] == '\n';
	n -= lines->complete;
	n -= lines->complete && n > 0 && text[n - 1] == '\r';
	lines->line = (struct str){ text, (uint32_t)n };
}

/* What is left of a line that was too long. */
static void pass_over(struct text_lines *lines)
{
	const uint8_t *end;

	do {
		lines->stream.pos += lines->taken;
		end = need_end(lines, 0);
		lines->taken = byte_stream_left(&lines->stream);
		if (lines->taken > TEXT_LINE_MAX)
			lines->taken = TEXT_LINE_MAX;
	} while (!end && lines->taken > 0);
	lines->taken = end ? (size_t)(end - byte_stream_at(&lines->stream)) + 1 : 0;
}

int text_lines_next(struct text_lines *lines, struct err *err)
{
	const uint8_t *end;
	size_t left;

	if (lines->too_long)
		pass_over(lines);
	lines->too_long = false;
	lines->stream.pos += lines->taken;
	lines->taken = 0;
	end = need_end(lines, 0);
	left = byte_stream_left(&lines->stream);
	if (end) {
		take(lines, (size_t)(end - byte_stream_at(&lines->stream)) + 1);
		return 1;
	}
	lines->too_long = left >= TEXT_LINE_MAX;
	take(lines, lines->too_long ? TEXT_LINE_MAX : left);
	if (lines->too_long || (left > 0 && lines->stream.failure.kind == ERR_OK))
		return 1;
	if (lines->stream.failure.kind == ERR_OK)
		return 0;
	*err = lines->stream.failure;
	return -1;
}

bool text_lines_extend(struct text_lines *lines)
{
	const uint8_t *end = need_end(lines, lines->taken);
	size_t left = byte_stream_left(&lines->stream);

	/* The window may have moved. */
	take(lines, lines->taken);
	if (!lines->complete || left == lines->taken)
		return false;
	if (!end && (left >= TEXT_LINE_MAX || lines->stream.failure.kind != ERR_OK))
		return false;
	take(lines, end ? (size_t)(end - byte_stream_at(&lines->stream)) + 1 : left);
	return true;
}

void text_lines_shrink(struct text_lines *lines)
{
	const uint8_t *end = find_end(lines, 0);

	if (end)
		take(lines, (size_t)(end - byte_stream_at(&lines->stream)) + 1);
}

int text_lines_fail(const struct text_lines *lines, uint64_t record, struct err *why)
{
	err_wrap(why, "record %" PRIu64 " at byte offset %" PRIu64, record, lines->offset);
	return err_wrap(why, "%s", lines->path);
}

void text_lines_refuse(struct text_lines *lines, uint64_t record, struct source_item *ret_item)
{
	text_lines_fail(lines, record, &lines->why);
	ret_item->kind = SOURCE_REFUSED;
	ret_item->bytes = lines->line;
	ret_item->message = lines->why.text;
}
