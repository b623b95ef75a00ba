#pragma once
/*
 * Comma-separated values as RFC 4180 writes them, in bounded memory. A quote
 * that is not where RFC 4180 has one stands for itself inside a field that
 * does not begin with one; a quoted field that does not end, or goes on
 * behind its quote, spoils its first line only: what follows is read.
 */
#include "common/buf.h"
#include "stages/fetcher/formats/text_lines.h"

#define CSV_FIELDS_MAX 512 /* of one record */

struct csv {
	struct text_lines lines;
	char delimiter;
	struct str fields[CSV_FIELDS_MAX]; /* valid until the next call */
	unsigned count;
	uint64_t records;  /* handed out, spoilt ones too; a header is one, unless its reader counts anew */
	const char *fault; /* why the record has no fields; NULL: it has */
	struct buf unquoted;
};

#define CSV_INIT \
	{ \
		.lines = TEXT_LINES_INIT, .delimiter = ',', .unquoted = BUF_INIT(TEXT_LINE_MAX) \
	}

/* Opening is text_lines_open(&csv->lines, …). */
void csv_release(struct csv *csv);

/* 1: a record, 0: the end of the file, -1: the stream failed. Empty lines are none. */
int csv_next(struct csv *csv, struct err *err);
