#pragma once
/*
 * Where an attempt stands: kept as JSON in the metadata of the task's
 * committed offset, in the same transaction as the records, so that whoever
 * gets the slot next goes on exactly there.
 */
#include <stdbool.h>
#include <stdint.h>

#define CURSOR_TEXT_MAX 4096 /* bytes: the broker takes no more */
#define CURSOR_IDENTITY_MAX 512
#define CURSOR_RESUME_MAX 512

struct cursor {
	int64_t attempt; /* 0: nobody has decoded the task yet */
	int64_t task, run;
	int64_t as_of;   /* ns */
	int64_t fetched; /* records with an ordinal so far, refused ones included */
	int64_t refused;
	int64_t skipped;
	int64_t starts;                     /* begun here, and not got further */
	char identity[CURSOR_IDENTITY_MAX]; /* source_identity() when the attempt began; empty: it was not opened yet */
	char resume[CURSOR_RESUME_MAX];     /* source_resume() behind the last of these records */
};

void cursor_format(const struct cursor *cursor, char text[CURSOR_TEXT_MAX]);

/* False where the text is no cursor. */
bool cursor_parse(const char *text, struct cursor *ret);

/* The same attempt at the same item. */
bool cursor_same(const struct cursor *a, const struct cursor *b);
