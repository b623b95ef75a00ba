#pragma once
/*
 * The inside of source.h: each source is one file here with one table of
 * functions, listed in source.c.
 */
#include "stages/fetcher/source.h"

struct source_ops {
	const char *name; /* as tasks and subscriptions say it */
	int (*open)(struct source **ret, const struct fetch_task *task, struct err *err);
	int (*next)(struct source *source, struct source_item *ret_item, struct err *err);
	const char *(*identity)(const struct source *source);
	int64_t (*input_bytes)(const struct source *source);
	void (*free)(struct source *source);
};

/* First member of every source's own struct. */
struct source {
	const struct source_ops *ops;
};

extern const struct source_ops source_file_ops;
