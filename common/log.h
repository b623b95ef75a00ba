#pragma once
/*
 * One JSON line per event on stderr: timestamp, level, component, event,
 * message, context{}. `event` is a stable token that alerts and tests match;
 * the message is for people. Secrets are masked (see redact.h). Thread-safe;
 * a line is one write(2).
 *
 *   log_info("batch_committed", LOG_FIELDS(log_i64("records", n)), "committed %d records", n);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log_field {
	const char *key;
	const char *text; /* NULL: the number counts */
	int64_t number;
	bool millionths; /* the number is in these, and written as a decimal */
};

#define LOG_FIELDS(...) ((const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })

static inline struct log_field log_str(const char *key, const char *text)
{
	return (struct log_field){ key, text ? text : "", 0, false };
}

static inline struct log_field log_i64(const char *key, int64_t number)
{
	return (struct log_field){ key, NULL, number, false };
}

/* A duration, written in seconds with microseconds: 5.250000. */
static inline struct log_field log_seconds(const char *key, int64_t ns)
{
	return (struct log_field){ key, NULL, ns / 1000, true };
}

/* Component is kept, not copied. Before this call nothing below a warning is written. */
void log_open(const char *component, enum log_level level);

/* "debug", "info", "warning", "error", in capitals, too; false for anything else. */
bool log_level_parse(const char *text, enum log_level *ret_level);

void log_write(enum log_level level, const char *event, const struct log_field *fields, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_debug(event, fields, ...) log_write(LOG_DEBUG, event, fields, __VA_ARGS__)
#define log_info(event, fields, ...) log_write(LOG_INFO, event, fields, __VA_ARGS__)
#define log_warning(event, fields, ...) log_write(LOG_WARNING, event, fields, __VA_ARGS__)
#define log_error(event, fields, ...) log_write(LOG_ERROR, event, fields, __VA_ARGS__)

/* The one log line of an error that reached the top. */
void log_err(const char *event, const struct err *err);
