#include "stages/fetcher/formats/csv.h"

/* Where a scan of a record with quotes stands. */
enum place { FIELD_BEGINS, IN_FIELD, IN_QUOTES, BEHIND_QUOTE, SPOILT };

void csv_release(struct csv *csv)
{
	text_lines_release(&csv->lines);
	buf_release(&csv->unquoted);
}

static bool fault(struct csv *csv, const char *why)
{
	csv->fault = why;
	csv->count = 0;
	return false;
}

static bool add_field(struct csv *csv, const char *first, const char *end)
{
	if (csv->count == CSV_FIELDS_MAX)
		return fault(csv, "more than 512 fields");
	csv->fields[csv->count++] = (struct str){ first, (uint32_t)(end - first) };
	return true;
}

static void split_plain(struct csv *csv)
{
	const char *p = csv->lines.line.data, *end = p + csv->lines.line.len, *next;

	while ((next = memchr(p, csv->delimiter, (size_t)(end - p)))) {
		if (!add_field(csv, p, next))
			return;
		p = next + 1;
	}
	add_field(csv, p, end);
}

/* --- quotes ------------------------------------------------------------------------------------------------------------ */

static enum place step(enum place at, char c, char delimiter)
{
	switch (at) {
	case FIELD_BEGINS:
		if (c == '"')
			return IN_QUOTES;
		return c == delimiter ? FIELD_BEGINS : IN_FIELD;
	case IN_FIELD:
		return c == delimiter ? FIELD_BEGINS : IN_FIELD;
	case IN_QUOTES:
		return c == '"' ? BEHIND_QUOTE : IN_QUOTES;
	case BEHIND_QUOTE:
		if (c == '"')
			return IN_QUOTES;
		return c == delimiter ? FIELD_BEGINS : SPOILT;
	default:
		return SPOILT;
	}
}

/* Joins lines until no quote is open; each byte is looked at once. False: the first line is spoilt. */
static bool join_lines(struct csv *csv)
{
	struct text_lines *lines = &csv->lines;
	enum place at = FIELD_BEGINS;
	uint32_t i = 0;

	for (;;) {
		for (; i < lines->line.len; i++)
			at = step(at, lines->line.data[i], csv->delimiter);
		if (at != IN_QUOTES)
			break;
		i = lines->line.len;
		if (!text_lines_extend(lines)) {
			at = SPOILT;
			break;
		}
	}
	if (at != SPOILT)
		return true;
	text_lines_shrink(lines);
	return fault(csv, "a quoted field does not end, or goes on behind its quote");
}

/* A field's text between its quotes, two of them standing for one. */
static struct str unquote(struct csv *csv, const char *p, const char *end)
{
	struct buf *buf = &csv->unquoted;
	size_t first = buf->len;

	if (!memchr(p, '"', (size_t)(end - p)))
		return (struct str){ p, (uint32_t)(end - p) };
	for (; p < end; p += 1 + (*p == '"'))
		buf_put_u8(buf, (uint8_t)*p);
	return (struct str){ (const char *)buf->data + first, (uint32_t)(buf->len - first) };
}

/* The lines are joined, so every quote has its match. */
static void split_quoted(struct csv *csv)
{
	const char *p = csv->lines.line.data, *end = p + csv->lines.line.len, *first = p;
	enum place at = FIELD_BEGINS, before;

	buf_reset(&csv->unquoted);
	buf_room(&csv->unquoted, csv->lines.line.len); /* at once: fields point into it */
	for (; p <= end; p++) {
		before = at;
		at = p < end ? step(at, *p, csv->delimiter) : FIELD_BEGINS;
		if (at != FIELD_BEGINS)
			continue;
		if (!add_field(csv, first, p))
			return;
		if (before == BEHIND_QUOTE)
			csv->fields[csv->count - 1] = unquote(csv, first + 1, p - 1);
		first = p + 1;
	}
}

int csv_next(struct csv *csv, struct err *err)
{
	struct text_lines *lines = &csv->lines;
	int got;

	do
		got = text_lines_next(lines, err);
	while (got > 0 && lines->line.len == 0);
	if (got <= 0)
		return got;
	csv->records++;
	csv->count = 0;
	csv->fault = NULL;
	if (lines->too_long)
		fault(csv, "a line of more than 65536 bytes");
	else if (!memchr(lines->line.data, '"', lines->line.len))
		split_plain(csv);
	else if (join_lines(csv))
		split_quoted(csv);
	return 1;
}
