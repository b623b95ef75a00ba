#include "common/kafka_oauth.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/http_json.h"
#include "common/json_in.h"
#include "common/kafka_trouble.h"
#include "common/log.h"
#include "common/mem.h"

#define ANSWER_MAX (256 * 1024) /* bytes */
#define TOKEN_MAX (64 * 1024)
#define FORM_MAX 8192
#define SECONDS 8    /* a worker that is told to stop has 10 */
#define FRESH_PART 2 /* a token is given to another client while at least this part of its life is left */
#define WORD_MAX 80

/* Of the process: all its clients have the same configuration. */
static struct {
	pthread_mutex_t lock; /* also held while one fetches: the others wait for what it brings */
	char *url, *client_id, *secret, *scope, *ca_file;
	struct kafka_token token;
	int64_t fetched_ms;
	bool failed; /* said in the log */
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

void kafka_token_release(struct kafka_token *token)
{
	free(token->value);
	free(token->principal);
	*token = (struct kafka_token){ .value = NULL };
}

static int64_t now_ms(void)
{
	return clock_now_ns() / NS_PER_MS;
}

/* --- the answer ------------------------------------------------------------------------------------------------------ */

/* The claims of a JWT (RFC 7519), unverified: the broker does that. NULL: it is none. */
static json_t *read_claims(const char *token)
{
	const char *from = strchr(token, '.'), *end = from ? strchr(from + 1, '.') : NULL;
	CLEANUP(freep) char *text = NULL;
	CLEANUP(freep) unsigned char *bytes = NULL;
	size_t n;
	int len;

	if (!end)
		return NULL;
	n = (size_t)(end - from - 1);
	text = mem_printf("%.*s%s", (int)n, from + 1, n % 4 == 2 ? "==" : n % 4 == 3 ? "=" : "");
	for (char *p = text; *p; p++)
		*p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
	bytes = mem_alloc(n + 4);
	len = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)strlen(text));
	/* Padding comes out as NULs, which JSON would not end with. */
	for (; len > 0 && bytes[len - 1] == '\0';)
		len--;
	return len > 0 ? json_loadb((const char *)bytes, (size_t)len, 0, NULL) : NULL;
}

static bool get_seconds(const json_t *object, const char *name, double *ret)
{
	const json_t *value = json_object_get(object, name);

	if (json_is_string(value)) /* some say "3600" */
		*ret = strtod(json_string_value(value), NULL);
	else if (json_is_number(value))
		*ret = json_number_value(value);
	else
		return false;
	return *ret > 0 && *ret < 1e12;
}

int kafka_token_parse(const json_t *answer, const char *client, int64_t at_ms, struct kafka_token *ret, struct err *err)
{
	const char *value = json_string_value(json_object_get(answer, "access_token"));
	const char *type = json_string_value(json_object_get(answer, "token_type"));
	CLEANUP(json_freep) json_t *claims = value ? read_claims(value) : NULL;
	const char *subject = json_string_value(json_object_get(claims, "sub"));
	int64_t expires_ms = INT64_MAX;
	double seconds;

	if (!value || !value[0] || strlen(value) > TOKEN_MAX)
		return err_set(err, ERR_RETRY, "its answer has no access_token");
	if (type && strcasecmp(type, "bearer") != 0)
		return err_set(err, ERR_RETRY, "its token is none of the kind Bearer, but %.40s", type);
	if (get_seconds(answer, "expires_in", &seconds))
		expires_ms = at_ms + (int64_t)(seconds * 1000);
	if (get_seconds(claims, "exp", &seconds) && (int64_t)(seconds * 1000) < expires_ms)
		expires_ms = (int64_t)(seconds * 1000);
	if (expires_ms == INT64_MAX)
		return err_set(err, ERR_RETRY,
			       "its answer does not say when the token ends (neither expires_in nor exp)");
	if (expires_ms <= at_ms)
		return err_set(err, ERR_RETRY, "its token is over already: look at this machine's clock");
	*ret = (struct kafka_token){ mem_strdup(value), mem_strdup(subject && subject[0] ? subject : client),
				     expires_ms };
	return 0;
}

/* --- fetching; the lock is held -------------------------------------------------------------------------------------- */

static const char *way_out(const char *error)
{
	return strcmp(error, "invalid_scope") == 0 ? "look at oauth.scope"
						   : "look at oauth.client_id and oauth.client_secret";
}

/* RFC 6749, section 5.2. */
static int refused(long status, const json_t *answer, struct err *err)
{
	const char *error = json_string_value(json_object_get(answer, "error"));
	const char *more = json_string_value(json_object_get(answer, "error_description"));
	bool final = status >= 400 && status < 500 && status != 408 && status != 429;

	err_set(err, final ? ERR_FATAL : ERR_RETRY, "HTTP %ld%s%.80s%s%.120s%s%s%s", status, error ? " " : "",
		error ? error : "", more ? " (" : "", more ? more : "", more ? ")" : "", final ? ": " : "",
		final ? way_out(error ? error : "") : "");
	return -1;
}

/* Section 2.3.1: form-encoded, so that any character may be in them. */
static char *encode(const char *text)
{
	CLEANUP(buf_release) struct buf form = BUF_INIT(FORM_MAX);

	http_put_field(&form, "", str_of(text));
	return mem_strdup(buf_text(&form) + 1);
}

static int ask(struct kafka_token *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf form = BUF_INIT(FORM_MAX);
	CLEANUP(freep) char *user = encode(shared.client_id), *password = encode(shared.secret);
	CLEANUP(json_freep) json_t *answer = NULL;
	int64_t begun_ms = now_ms();
	struct http_json_call call = { .method = "POST",
				       .url = shared.url,
				       .content_type = "application/x-www-form-urlencoded",
				       .user = user,
				       .password = password,
				       .ca_file = shared.ca_file,
				       .answer_max = ANSWER_MAX,
				       .seconds = SECONDS };
	long status = 0;

	http_put_field(&form, "grant_type", STR_LIT("client_credentials"));
	if (shared.scope[0])
		http_put_field(&form, "scope", str_of(shared.scope));
	call.body = buf_text(&form);
	if (http_json(&call, &status, &answer, err))
		return strstr(err->text, "certificate")
			       ? err_set(err, ERR_FATAL, "its certificate is not trusted: look at oauth.ca_file")
			       : -1;
	if (status != 200)
		return refused(status, answer, err);
	if (!answer)
		return err_set(err, ERR_RETRY, "its answer is no JSON");
	return kafka_token_parse(answer, shared.client_id, begun_ms, ret, err);
}

static int fetch(struct err *err)
{
	struct kafka_token token = { .value = NULL };

	if (ask(&token, err)) {
		err_wrap(err, "no token from oauth.url=%s", shared.url);
		if (!shared.failed)
			log_warning("token_refused", NULL, "%s", err->text);
		shared.failed = true;
		kafka_trouble_note(err->kind == ERR_FATAL, err->text);
		return -1;
	}
	if (shared.failed)
		log_info("token_back", NULL, "oauth.url=%s gives tokens again", shared.url);
	shared.failed = false;
	kafka_token_release(&shared.token);
	shared.token = token;
	shared.fetched_ms = now_ms();
	kafka_trouble_over();
	return 0;
}

static bool is_fresh(void)
{
	int64_t life_ms = shared.token.expires_ms - shared.fetched_ms, left_ms = shared.token.expires_ms - now_ms();

	return shared.token.value && left_ms > 0 && left_ms >= life_ms / FRESH_PART;
}

static void on_refresh(rd_kafka_t *rk, const char *config, void *opaque)
{
	struct err err = ERR_INIT;
	char text[256];

	(void)config;
	(void)opaque; /* a client's own */
	pthread_mutex_lock(&shared.lock);
	if (!is_fresh() && fetch(&err))
		rd_kafka_oauthbearer_set_token_failure(rk, err.text);
	else if (rd_kafka_oauthbearer_set_token(rk, shared.token.value, shared.token.expires_ms, shared.token.principal,
						NULL, 0, text, sizeof(text)))
		rd_kafka_oauthbearer_set_token_failure(rk, text);
	pthread_mutex_unlock(&shared.lock);
}

/* --- configuration --------------------------------------------------------------------------------------------------- */

static void get_word(const rd_kafka_conf_t *conf, const char *name, char word[WORD_MAX])
{
	size_t size = WORD_MAX;

	if (rd_kafka_conf_get(conf, name, word, &size) != RD_KAFKA_CONF_OK)
		word[0] = '\0';
}

/* OAUTHBEARER, and neither the library's own OIDC nor its tokens for tests. */
static bool is_ours(const rd_kafka_conf_t *conf)
{
	char protocol[WORD_MAX], mechanism[WORD_MAX], method[WORD_MAX], unsecured[WORD_MAX];

	get_word(conf, "security.protocol", protocol);
	get_word(conf, "sasl.mechanism", mechanism);
	get_word(conf, "sasl.oauthbearer.method", method);
	get_word(conf, "enable.sasl.oauthbearer.unsecure.jwt", unsecured);
	return strncmp(protocol, "sasl_", 5) == 0 && strcmp(mechanism, "OAUTHBEARER") == 0 &&
	       strcmp(method, "oidc") != 0 && strcmp(unsecured, "true") != 0;
}

int kafka_oauth_check(const rd_kafka_conf_t *conf, const struct config *cfg, struct err *err)
{
	static const char *const needed[] = { "oauth.url", "oauth.client_id", "oauth.client_secret" };

	if (!is_ours(conf))
		return 0;
	for (unsigned i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!config_text(cfg, needed[i])[0])
			return err_set(
				err, ERR_FATAL,
				"kafka.sasl.mechanism is OAUTHBEARER, but %s is not set: tokens are fetched there",
				needed[i]);
	if (strncmp(config_text(cfg, "oauth.url"), "https://", 8) != 0)
		return err_set(
			err, ERR_FATAL,
			"kafka.sasl.mechanism is OAUTHBEARER, but oauth.url is not https: the client's secret is "
			"sent there");
	return 0;
}

static bool replace(char **to, const char *text)
{
	if (*to && strcmp(*to, text) == 0)
		return false;
	free(*to);
	*to = mem_strdup(text);
	return true;
}

static void share(const struct config *cfg)
{
	bool other;

	pthread_mutex_lock(&shared.lock);
	other = replace(&shared.url, config_text(cfg, "oauth.url"));
	other |= replace(&shared.client_id, config_text(cfg, "oauth.client_id"));
	other |= replace(&shared.secret, config_text(cfg, "oauth.client_secret"));
	other |= replace(&shared.scope, config_text(cfg, "oauth.scope"));
	other |= replace(&shared.ca_file, config_text(cfg, "oauth.ca_file"));
	if (other)
		kafka_token_release(&shared.token);
	pthread_mutex_unlock(&shared.lock);
}

int kafka_oauth_set(rd_kafka_conf_t *conf, const struct config *cfg, struct err *err)
{
	if (!is_ours(conf))
		return 0;
	if (kafka_oauth_check(conf, cfg, err))
		return -1;
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) /* here, where there is one thread yet */
		return err_set(err, ERR_FATAL, "libcurl cannot be set up");
	share(cfg);
	rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, on_refresh);
	rd_kafka_conf_enable_sasl_queue(conf, 1);
	return 0;
}

int kafka_oauth_attach(rd_kafka_t *rk, struct err *err)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_get_sasl(rk);
	rd_kafka_error_t *error;

	if (!queue)
		return 0;
	rd_kafka_queue_destroy(queue);
	error = rd_kafka_sasl_background_callbacks_enable(rk);
	if (!error)
		return 0;
	err_set(err, ERR_FATAL, "kafka: %s", rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return -1;
}
