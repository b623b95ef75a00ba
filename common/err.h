#pragma once
/*
 * What went wrong, and what to do about it: skip the record, try the same
 * input again, or stop. Functions return 0 or -1 with a struct err as last
 * parameter; callers add context outwards with err_wrap(), and the top of a
 * loop logs once. Secrets of the configuration are masked in every text (see
 * redact.h). Nothing here allocates.
 */
enum err_kind {
	ERR_OK,
	ERR_RECORD, /* this record or task can never pass: dead-letter it, go on */
	ERR_RETRY,  /* the world is not ready: back off, same input again */
	ERR_FATAL,  /* wrong configuration or broken invariant: exit */
};

struct err {
	enum err_kind kind;
	char text[480];
};

#define ERR_INIT \
	{ \
		.kind = ERR_OK \
	}

/* Exit codes of every binary; the table users see is in the README. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* the command ran and its answer is "no" */
	EXIT_USAGE = 2,  /* wrong arguments or configuration */
	EXIT_RETRY = 3,  /* start me again later */
	EXIT_FATAL = 4,  /* do not start me again before someone looked */
};

/* Sets kind and text; always returns -1 so that callers can return it. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text, kind unchanged; always returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *err);

/* "record", "retry", "fatal", "ok": for logs. */
const char *err_kind_name(enum err_kind kind);

/* EXIT_RETRY for ERR_RETRY, EXIT_FATAL for everything else that is an error. */
int err_exit_code(const struct err *err);
