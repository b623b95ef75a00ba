#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/redact.h"

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	err->kind = kind;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	redact(err->text);
	return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char inner[sizeof(err->text)];
	size_t room;
	va_list ap;
	int n;

	memcpy(inner, err->text, sizeof(inner));
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return -1;
	/* The reason matters more than a long context: it gets at least half of the room. */
	if ((size_t)n > sizeof(err->text) / 2)
		n = sizeof(err->text) / 2;
	room = sizeof(err->text) - (size_t)n;
	snprintf(err->text + n, room, ": %.*s", (int)room - 3, inner);
	redact(err->text);
	return -1;
}

void err_clear(struct err *err)
{
	err->kind = ERR_OK;
	err->text[0] = '\0';
}

const char *err_kind_name(enum err_kind kind)
{
	static const char *const names[] = {
		[ERR_OK] = "ok",
		[ERR_RECORD] = "record",
		[ERR_RETRY] = "retry",
		[ERR_FATAL] = "fatal",
	};
	return names[kind];
}

int err_exit_code(const struct err *err)
{
	return err->kind == ERR_RETRY ? EXIT_RETRY : EXIT_FATAL;
}
