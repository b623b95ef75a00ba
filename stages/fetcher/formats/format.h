#pragma once
/*
 * What a file's bytes mean: its items one by one, in the same order each
 * time. Each format is one table of functions, listed with how its first
 * bytes are told in sources/file.c; whether a file is compressed is
 * byte_stream.h's business, so a format never sees it.
 */
#include "stages/fetcher/source.h"

struct format;

struct format_ops {
	const char *name;
	/* Errors as source_open()'s: text with the path; ERR_RECORD unless the machine is at fault. */
	int (*open)(struct format **ret, const char *path, const struct fetch_task *task, struct err *err);
	int (*next)(struct format *format, struct source_item *ret_item, struct err *err);
	int (*fd)(const struct format *format);              /* the open file, for fstat(); the format keeps it */
	int64_t (*input_bytes)(const struct format *format); /* of the file, used up so far */
	void (*free)(struct format *format);
};

/* First member of every format's own struct. */
struct format {
	const struct format_ops *ops;
};

static inline void format_freep(struct format **format)
{
	struct format *self = *format;

	*format = NULL;
	if (self)
		self->ops->free(self);
}

extern const struct format_ops format_dbn_ops;

/* DBN that is still arriving; `name` stands for the path in errors. Items may be SOURCE_LATER, with no ready_ns. */
struct byte_input;
struct dbn_metadata;
void format_dbn_open_input(struct format **ret, const char *name, const struct byte_input *input,
			   const struct fetch_task *task);
/* NULL as long as it has not arrived. */
const struct dbn_metadata *format_dbn_metadata(const struct format *format);

extern const struct format_ops format_databento_csv_ops;
extern const struct format_ops format_databento_json_ops;
extern const struct format_ops format_csv_bars_ops; /* where the task says so */
