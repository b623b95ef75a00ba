#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cleanup.h"
#include "common/json_out.h"
#include "common/mem.h"
#include "common/redact.h"

#define LINE_MAX_BYTES 16384
#define MESSAGE_MAX_BYTES 4096

static struct {
	const char *component;
	enum log_level level;
	pthread_mutex_t lock;
} sink = { "penstock", LOG_WARNING, PTHREAD_MUTEX_INITIALIZER };

static const char *const level_names[] = { "DEBUG", "INFO", "WARNING", "ERROR" };
static const char *const level_words[] = { "debug", "info", "warning", "error" };

void log_open(const char *component, enum log_level level)
{
	sink.component = component;
	sink.level = level;
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
	for (unsigned i = 0; i < sizeof(level_words) / sizeof(*level_words); i++)
		if (strcasecmp(text, level_words[i]) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	return false;
}

static void write_all(const uint8_t *p, size_t left)
{
	while (left > 0) {
		ssize_t n = write(STDERR_FILENO, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nowhere left to complain */
		p += n;
		left -= (size_t)n;
	}
}

static void put_text(struct json_out *out, const char *text)
{
	CLEANUP(freep) char *masked = NULL;

	if (redact_finds(text)) {
		masked = mem_strdup(text);
		redact(masked);
		text = masked;
	}
	json_put_str(out, str_of(text));
}

static void put_number(struct json_out *out, const struct log_field *field)
{
	char text[32];

	if (!field->millionths) {
		json_put_int(out, field->number);
		return;
	}
	snprintf(text, sizeof(text), "%" PRId64 ".%06" PRId64, field->number / 1000000, field->number % 1000000);
	json_put_raw(out, str_of(text));
}

static void put_context(struct json_out *out, const struct log_field *fields)
{
	json_put_key(out, "context");
	json_put_open(out, '{');
	for (; fields && fields->key; fields++) {
		json_put_key(out, fields->key);
		if (fields->text)
			put_text(out, fields->text);
		else
			put_number(out, fields);
	}
	json_put_close(out, '}');
}

static void put_line(struct buf *line, enum log_level level, const char *event, const char *message,
		     const struct log_field *fields)
{
	struct json_out out = JSON_OUT(line);
	char now[CLOCK_TEXT_MAX];

	clock_format(clock_now_ns(), 6, now);
	json_put_open(&out, '{');
	json_put_key(&out, "timestamp");
	json_put_str(&out, str_of(now));
	json_put_key(&out, "level");
	json_put_str(&out, str_of(level_names[level]));
	json_put_key(&out, "component");
	json_put_str(&out, str_of(sink.component));
	json_put_key(&out, "event");
	json_put_str(&out, str_of(event));
	json_put_key(&out, "message");
	put_text(&out, message);
	put_context(&out, fields);
	json_put_close(&out, '}');
	buf_put_u8(line, '\n');
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, const char *fmt, ...)
{
	static struct buf line = BUF_INIT(LINE_MAX_BYTES);
	char message[MESSAGE_MAX_BYTES];
	va_list ap;

	if (level < sink.level)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&sink.lock);
	buf_reset(&line);
	put_line(&line, level, event, message, fields);
	if (line.overflow) {
		buf_reset(&line);
		put_line(&line, level, event, "(context left out: the line was too long)", NULL);
	}
	write_all(line.data, line.len);
	pthread_mutex_unlock(&sink.lock);
}

void log_err(const char *event, const struct err *err)
{
	log_error(event, LOG_FIELDS(log_str("kind", err_kind_name(err->kind))), "%s", err->text);
}
