#pragma once
/*
 * subscriptions.yaml: what is to be ingested. Read anew each time it is
 * needed, so that a change takes effect without a restart; every error names
 * file and line.
 */
#include <stdbool.h>

#include "common/err.h"

struct subscription {
	char *name;
	char *source;
	unsigned line;  /* where it begins */
	bool supported; /* this version has its source; nothing below is read where it has not */
	char **paths;   /* source file: paths or globs as written */
	unsigned path_count;
	char *dataset;    /* "": what the file's metadata says */
	char *schema;     /* "": what the file's metadata says */
	char *parameters; /* "", or JSON: what else its tasks say */
};

struct subscriptions {
	char *file;
	char *folder; /* absolute: what relative paths start from */
	struct subscription *items;
	unsigned count;
};

#define SUBSCRIPTIONS_INIT \
	{ \
		0 \
	}

/* ERR_RECORD with file and line where it is not as it should be. */
int subscriptions_read(struct subscriptions *ret, const char *file, struct err *err);
void subscriptions_release(struct subscriptions *list);

/* NULL: there is none of that name. */
const struct subscription *subscriptions_find(const struct subscriptions *list, const char *name);

/* "file": the sources that this version has, for messages. */
const char *subscriptions_sources(void);
