#pragma once
/*
 * The inside of source.h: each source is one file here with one table of
 * functions, listed in source.c.
 */
#include "stages/fetcher/source.h"

struct source_ops {
	const char *name; /* as tasks and subscriptions say it */
	int (*open)(struct source **ret, const struct source_env *env, const struct fetch_task *task,
		    const char *resume, struct err *err);
	int (*next)(struct source *source, struct source_item *ret_item, struct err *err);
	const char *(*identity)(const struct source *source);
	int64_t (*input_bytes)(const struct source *source);
	void (*free)(struct source *source);
	/* These three may be NULL. */
	const char *(*resume)(const struct source *source);
	bool (*begins_behind)(const struct source *source);
	const char *(*result)(struct source *source);
};

/* First member of every source's own struct. */
struct source {
	const struct source_ops *ops;
};

extern const struct source_ops source_file_ops;
extern const struct source_ops source_databento_ops;
extern const struct source_ops source_kafka_ops;
