#include "stages/fetcher/sources/databento/account.h"

#include <stdlib.h>
#include <string.h>

#include "common/redact.h"

#define KEY_PREFIX "db-"
#define KEY_BYTES 32

/* Ours, else the vendor's own variable, else `fallback`. */
static const char *text_of(const struct config *cfg, const char *key, const char *variable, const char *fallback)
{
	const char *text = config_text(cfg, key);

	if (!text[0] && getenv(variable))
		text = getenv(variable);
	return text[0] ? text : fallback;
}

static int check(const struct databento_account *account, struct err *err)
{
	size_t n = strlen(account->url);

	if (strncmp(account->url, "https://", 8) != 0 && strncmp(account->url, "http://", 7) != 0)
		return err_set(err, ERR_FATAL, "databento.url (DATABENTO_GATEWAY) '%.100s' must start with https://",
			       account->url);
	if (account->url[n - 1] == '/')
		return err_set(err, ERR_FATAL, "databento.url (DATABENTO_GATEWAY) '%.100s' ends with a slash",
			       account->url);
	if (account->key[0] &&
	    (strlen(account->key) != KEY_BYTES || strncmp(account->key, KEY_PREFIX, strlen(KEY_PREFIX)) != 0))
		return err_set(err, ERR_FATAL,
			       "databento.key (DATABENTO_API_KEY) has %zu characters; a key has %d and starts with %s",
			       strlen(account->key), KEY_BYTES, KEY_PREFIX);
	return 0;
}

int databento_account_read(struct databento_account *ret, const struct config *cfg, struct err *err)
{
	*ret = (struct databento_account){
		.url = text_of(cfg, "databento.url", "DATABENTO_GATEWAY", DATABENTO_URL),
		.key = text_of(cfg, "databento.key", "DATABENTO_API_KEY", ""),
		.ca_file = config_text(cfg, "databento.ca_file"),
		.calls_per_minute = config_int(cfg, "databento.calls_per_minute"),
		.burst = config_int(cfg, "databento.burst"),
		.tries_max = (unsigned)config_int(cfg, "databento.tries_max"),
		.stall_s = (unsigned)config_int(cfg, "databento.stall_s"),
		.backoff_ms = config_int(cfg, "databento.backoff_ms"),
		.backoff_ms_max = config_int(cfg, "databento.backoff_ms_max"),
		.poll_ms = config_int(cfg, "databento.poll_ms"),
	};
	redact_add(ret->key);
	return check(ret, err);
}
