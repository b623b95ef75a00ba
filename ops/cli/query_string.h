#pragma once
/* --name VALUE and --where become the parameters of a URL; the API knows which there are. */
#include <stdbool.h>

#include "common/buf.h"

struct query_string {
	const char *command; /* for messages */
	struct buf text;     /* "class=…&run=…" */
};

#define QUERY_STRING_MAX (64 * 1024)
#define QUERY_STRING(command_) \
	{ \
		.command = (command_), .text = BUF_INIT(QUERY_STRING_MAX) \
	}
void query_string_release(struct query_string *query);

void query_string_put(struct query_string *query, const char *name, const char *value);

/* Appends text as it stands in a URL. */
void query_string_escape(struct buf *out, const char *text);

/*
 * Takes the option that argv begins with. --where "a = 'b' and …" gives one
 * for each term, --new and --exact are --new true. False: it was none of these, or wrong;
 * the user was told.
 */
bool query_string_take(struct query_string *query, int *argc, char ***argv);
