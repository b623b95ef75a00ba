/* What a token endpoint answers; what librdkafka says of a connection, as a sentence with the way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/kafka_oauth.h"
#include "common/kafka_trouble.h"
#include "common/mem.h"

#define NOW_MS INT64_C(1700000000000)

/* head.claims.signature, as RFC 7515 writes it. */
static char *jwt(const char *claims)
{
	unsigned char text[512];
	int n = EVP_EncodeBlock(text, (const unsigned char *)claims, (int)strlen(claims));

	for (int i = 0; i < n; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	while (n > 0 && text[n - 1] == '=')
		n--;
	return mem_printf("e30.%.*s.c2ln", n, (char *)text);
}

static int parse(const char *token, const char *more, struct kafka_token *ret, struct err *err)
{
	CLEANUP(freep) char *text = mem_printf("{\"access_token\": \"%s\"%s}", token, more);
	CLEANUP(json_freep) json_t *answer = json_loads(text, 0, NULL);

	assert_non_null(answer);
	return kafka_token_parse(answer, "me", NOW_MS, ret, err);
}

static void taken(const char *token, const char *more, int64_t life_ms, const char *principal)
{
	CLEANUP(kafka_token_release) struct kafka_token ret = { .value = NULL };
	struct err err = ERR_INIT;

	assert_int_equal(parse(token, more, &ret, &err), 0);
	assert_int_equal(ret.expires_ms, NOW_MS + life_ms);
	assert_string_equal(ret.principal, principal);
	assert_string_equal(ret.value, token);
}

static void a_token_ends_as_soon_as_anything_says(void **state)
{
	CLEANUP(freep) char *both = jwt("{\"sub\": \"fetcher\", \"exp\": 1700000060}");
	CLEANUP(freep) char *subject = jwt("{\"sub\": \"fetcher-1>>?\"}");
	CLEANUP(freep) char *fraction = jwt("{\"exp\": 1700000000.5}");

	(void)state;
	taken(both, "", 60000, "fetcher");
	taken(both, ", \"expires_in\": 30", 30000, "fetcher");
	taken(both, ", \"expires_in\": 300", 60000, "fetcher");
	taken(subject, ", \"expires_in\": \"300\", \"token_type\": \"bearer\"", 300000, "fetcher-1>>?");
	taken(fraction, "", 500, "me");
	taken("opaque", ", \"expires_in\": 5", 5000, "me");
	taken("a.b.c", ", \"expires_in\": 5", 5000, "me");
	taken("..", ", \"expires_in\": 5", 5000, "me");
}

static void refused(const char *token, const char *more, const char *said)
{
	CLEANUP(kafka_token_release) struct kafka_token ret = { .value = NULL };
	struct err err = ERR_INIT;

	assert_int_equal(parse(token, more, &ret, &err), -1);
	assert_non_null(strstr(err.text, said));
	assert_null(ret.value);
}

static void an_answer_that_is_none_is_refused(void **state)
{
	CLEANUP(freep) char *over = jwt("{\"exp\": 1699999999}");

	(void)state;
	refused("", "", "access_token");
	refused("opaque", "", "expires_in");
	refused("opaque", ", \"expires_in\": 0", "expires_in");
	refused("opaque", ", \"expires_in\": -1", "expires_in");
	refused("opaque", ", \"expires_in\": 1e300", "expires_in");
	refused("opaque", ", \"expires_in\": 5, \"token_type\": \"mac\"", "mac");
	refused(over, ", \"expires_in\": 60", "clock");
}

static void explained(const char *line, bool final, const char *expected)
{
	struct err err = ERR_INIT;

	kafka_trouble_over();
	kafka_trouble_log(line);
	err_set(&err, ERR_RETRY, "kafka: no answer");
	assert_int_equal(kafka_trouble_explain(NULL, &err), -1);
	assert_string_equal(err.text, expected);
	assert_int_equal(err.kind, ERR_RETRY);
	assert_int_equal(kafka_trouble_is_final(), final);
}

static void what_the_library_says_becomes_a_sentence(void **state)
{
	(void)state;
	explained("[thrd:sasl_ssl://b:9093/bootstrap]: sasl_ssl://b:9093/bootstrap: SASL authentication error: "
		  "Authentication failed (after 5ms in state AUTH_REQ)",
		  true,
		  "kafka: sasl_ssl://b:9093: SASL authentication error: Authentication failed: look at "
		  "kafka.sasl.username and kafka.sasl.password");
	explained("[thrd:b:9092/1]: b:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in "
		  "state CONNECT)",
		  false,
		  "kafka: b:9092: Connect to ipv4#127.0.0.1:9092 failed: Connection refused: look at "
		  "kafka.bootstrap.servers");
	explained("nonsense", false, "kafka: : nonsense: look at kafka.bootstrap.servers");
}

static void what_is_certain_stays(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	kafka_trouble_over();
	kafka_trouble_log("[x]: ssl://b:1/2: SSL handshake failed: certificate verify failed");
	kafka_trouble_log("[x]: ssl://b:1/2: Disconnected");
	assert_true(kafka_trouble_is_final());
	err_set(&err, ERR_RETRY, "x");
	kafka_trouble_explain("asking", &err);
	assert_non_null(strstr(err.text, "kafka: asking: ssl://b:1: "));
	assert_non_null(strstr(err.text, "kafka.ssl.ca.location"));
	kafka_trouble_over();
	assert_false(kafka_trouble_is_final());
	err_set(&err, ERR_RETRY, "x");
	kafka_trouble_explain(NULL, &err);
	assert_string_equal(err.text, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_ends_as_soon_as_anything_says),
		cmocka_unit_test(an_answer_that_is_none_is_refused),
		cmocka_unit_test(what_the_library_says_becomes_a_sentence),
		cmocka_unit_test(what_is_certain_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
