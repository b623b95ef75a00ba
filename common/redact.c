#include "common/redact.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fault.h"
#include "common/mem.h"

#define SECRETS_MAX 32
#define SHOWN "***"

static struct {
	pthread_mutex_t lock;
	char *texts[SECRETS_MAX];
	_Atomic unsigned count;
} secrets = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_known(const char *secret)
{
	for (unsigned i = 0; i < secrets.count; i++)
		if (strcmp(secrets.texts[i], secret) == 0)
			return true;
	return false;
}

void redact_add(const char *secret)
{
	unsigned n;

	if (!secret || strlen(secret) < REDACT_MIN)
		return;
	pthread_mutex_lock(&secrets.lock);
	n = secrets.count;
	if (n < SECRETS_MAX && !is_known(secret)) {
		secrets.texts[n] = mem_strdup(secret);
		atomic_store_explicit(&secrets.count, n + 1, memory_order_release);
	}
	pthread_mutex_unlock(&secrets.lock);
}

/* The first one, and there the longest: one secret may begin like another. */
static char *find(char *text, size_t *ret_len)
{
	unsigned n = atomic_load_explicit(&secrets.count, memory_order_acquire);
	char *first = NULL;

	if (fault_defect("secrets_shown"))
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		char *at = strstr(text, secrets.texts[i]);
		size_t len = strlen(secrets.texts[i]);

		if (at && (!first || at < first || (at == first && len > *ret_len))) {
			first = at;
			*ret_len = len;
		}
	}
	return first;
}

bool redact_finds(const char *text)
{
	size_t len;

	return find((char *)text, &len) != NULL;
}

void redact(char *text)
{
	size_t len = 0;

	for (char *at; (at = find(text, &len));) {
		memcpy(at, SHOWN, strlen(SHOWN));
		memmove(at + strlen(SHOWN), at + len, strlen(at + len) + 1);
	}
}

/* --- connection strings ---------------------------------------------------------------------------------------------- */

/* postgresql://user:PASSWORD@host: up to the last '@' of the authority, as an unescaped one may be in the password. */
static char *uri_password(const char *dsn)
{
	const char *from = strstr(dsn, "://"), *end, *at = NULL, *colon;

	if (!from)
		return NULL;
	from += 3;
	end = strchr(from, '?');
	for (const char *p = from; *p && p != end; p++)
		if (*p == '@')
			at = p;
	colon = at ? memchr(from, ':', (size_t)(at - from)) : NULL;
	return colon ? mem_strndup(colon + 1, (size_t)(at - colon - 1)) : NULL;
}

/* The value that follows, in quotes or up to the next space or '&' (of a URI's query). */
static char *value_at(const char *p)
{
	char *value = mem_strdup(p), *to = value;
	char quote = *p == '\'' ? *p++ : '\0';

	for (; *p && (quote ? *p != quote : !isspace((unsigned char)*p) && *p != '&'); p++) {
		if (*p == '\\' && p[1])
			p++;
		*to++ = *p;
	}
	*to = '\0';
	return value;
}

/* password = 'PASSWORD', sslpassword=…: from where `*at` stands, which goes on behind the word. */
static char *keyword_password(const char **at)
{
	const char *p = strstr(*at, "password");

	if (!p)
		return NULL;
	p += strlen("password");
	*at = p;
	p += strspn(p, " \t\n");
	if (*p != '=')
		return mem_strdup("");
	p++;
	return value_at(p + strspn(p, " \t\n"));
}

static void decode_percent(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		char hex[3] = { p[0] == '%' ? p[1] : '\0', p[0] == '%' && p[1] ? p[2] : '\0', '\0' };

		if (isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1])) {
			*to++ = (char)strtol(hex, NULL, 16);
			p += 2;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
}

void redact_add_dsn(const char *dsn)
{
	CLEANUP(freep) char *uri = uri_password(dsn);

	if (uri) {
		redact_add(uri);
		decode_percent(uri);
		redact_add(uri);
	}
	for (const char *at = dsn;;) {
		CLEANUP(freep) char *value = keyword_password(&at);

		if (!value)
			break;
		redact_add(value);
	}
}

bool redact_is_secret_dsn(const char *dsn)
{
	CLEANUP(freep) char *uri = uri_password(dsn);

	return uri || strstr(dsn, "password");
}
