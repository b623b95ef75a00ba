#pragma once
/*
 * A file of lines, in bounded memory. A line is at most TEXT_LINE_MAX bytes
 * with its end (LF or CRLF); of a longer one the beginning is given, and the
 * rest is passed over. A byte order mark is no part of the first line.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/source.h"

#define TEXT_LINE_MAX BYTE_STREAM_NEED_MAX

struct text_lines {
	struct byte_stream stream;
	char *path;
	struct str line; /* without its end; valid until the next call */
	uint64_t offset; /* of its first byte in the uncompressed stream */
	bool complete;   /* it has an end, which the last line of a file may lack */
	bool too_long;
	size_t taken; /* bytes of the window that the line and its end are */
	struct err why;
};

#define TEXT_LINES_INIT \
	{ \
		.stream = BYTE_STREAM_INIT \
	}

/* Errors are without the path. */
int text_lines_open(struct text_lines *lines, const char *path, struct err *err);
void text_lines_release(struct text_lines *lines);

/* 1: a line, 0: the end of the file, -1: the stream failed; what came before it was given. */
int text_lines_next(struct text_lines *lines, struct err *err);

/* The line goes on: it becomes this one and the next. False, and nothing changes, at the end or past the maximum. */
bool text_lines_extend(struct text_lines *lines);

/* Back to the first line of those that were joined. */
void text_lines_shrink(struct text_lines *lines);

/* The file's name, record and byte offset before *why, as a task's error or a refused record says them. */
int text_lines_fail(const struct text_lines *lines, uint64_t record, struct err *why);

/* A refused record of the current line, with lines->why as the reason. */
void text_lines_refuse(struct text_lines *lines, uint64_t record, struct source_item *ret_item);
