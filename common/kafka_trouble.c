#include "common/kafka_trouble.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define FRESH_NS (60 * NS_PER_SECOND) /* the library says the same thing again every 30 s */
#define BROKER_MAX 120
#define WHAT_MAX 200

static struct {
	pthread_mutex_t lock;
	char text[400]; /* empty: none */
	bool final;
	int64_t ns;
} last = { .lock = PTHREAD_MUTEX_INITIALIZER };

#define NO_CERTIFICATE \
	"it wants a client's certificate, and takes neither this one nor none", \
		"kafka.ssl.certificate.location and kafka.ssl.key.location must name one that a CA of the broker's signed"

/*
 * By what the library says. cause NULL: just that, as it is well said. Not
 * final is what a broker that is starting or ending does, too.
 */
static const struct verdict {
	const char *said, *cause, *way;
	bool final;
	int before; /* of the library's versions only those before; 0: all */
} verdicts[] = {
	{ "certificate required", NO_CERTIFICATE, true, 0 },
	{ "alert bad certificate", NO_CERTIFICATE, true, 0 }, /* of brokers in Java, where there is none */
	{ "alert certificate unknown", NO_CERTIFICATE, true, 0 },
	{ "alert unknown ca", NO_CERTIFICATE, true, 0 },
	{ "certificate verify failed", "its certificate is not trusted, or is made out to another name",
	  "kafka.ssl.ca.location must name the CA that signed it, kafka.bootstrap.servers the name that is in it", true,
	  0 },
	{ "mechanism handshake failed", NULL, "set kafka.sasl.mechanism to one of those", true, 0 },
	{ "authentication failed (principal=", "it does not take the token",
	  "ask whoever runs it which issuer, audience and scope it wants (oauth.scope)", true, 0 },
	/* It puts its nonce there twice; Kafka 4.1 looks at that, older ones did not (librdkafka pull request 4895). */
	{ "mechanism SCRAM", NULL,
	  "librdkafka before 2.6.1, as this one is, does SCRAM in a way that newer brokers refuse: kafka.sasl.mechanism "
	  "PLAIN, certificates or tokens do; else look at kafka.sasl.username and kafka.sasl.password",
	  true, 0x020601ff },
	{ "SASL authentication error: ", NULL, "look at kafka.sasl.username and kafka.sasl.password", true, 0 },
	{ "PLAINTEXT broker listener", "it does not speak TLS there",
	  "look at kafka.security.protocol and the port in kafka.bootstrap.servers", false, 0 },
	{ "wrong version number", "it does not speak TLS there",
	  "look at kafka.security.protocol and the port in kafka.bootstrap.servers", true, 0 },
	{ "(connecting to a SSL listener?)", "it hangs up: it may want TLS there, or be older than Kafka 0.10",
	  "look at kafka.security.protocol and the port in kafka.bootstrap.servers", false, 0 },
	{ "might require SASL", "it hangs up: it may want a login there",
	  "look at kafka.security.protocol (sasl_ssl, sasl_plaintext) and the keys kafka.sasl.…", false, 0 },
	{ "unexpected eof", "it hangs up while TLS begins: it may not speak TLS there",
	  "look at kafka.security.protocol and the port in kafka.bootstrap.servers", false, 0 },
	{ "SASL", NULL, "look at the keys kafka.sasl.…", false, 0 },
	{ "SSL handshake failed", NULL, "look at the keys kafka.ssl.…", false, 0 },
	{ "", NULL, "look at kafka.bootstrap.servers", false, 0 },
};

static const struct verdict *judge(const char *what)
{
	const struct verdict *v = verdicts;

	while (!strstr(what, v->said) || (v->before && rd_kafka_version() >= v->before))
		v++;
	return v;
}

/* "[thrd:x]: sasl_ssl://host:9093/bootstrap: what (after 5ms in state AUTH_REQ)", without what does not help. */
static void take_apart(const char *text, char broker[BROKER_MAX], char what[WHAT_MAX])
{
	const char *from = strstr(text, "]: "), *colon, *end;

	from = text[0] == '[' && from ? from + 3 : text;
	colon = strstr(from, ": ");
	snprintf(broker, BROKER_MAX, "%.*s", colon ? (int)(colon - from) : 0, from);
	for (char *p = strrchr(broker, '/'); p && p > broker && p[-1] != '/'; p = NULL)
		*p = '\0';
	from = colon ? colon + 2 : from;
	end = strstr(from, " (after ");
	snprintf(what, WHAT_MAX, "%.*s", end ? (int)(end - from) : (int)strlen(from), from);
}

static void note(bool final, const char *text)
{
	pthread_mutex_lock(&last.lock);
	/* Of several, what is certain is said rather than what comes of it. */
	if (final || !last.final || !last.text[0]) {
		snprintf(last.text, sizeof(last.text), "%s", text);
		last.final = final;
		last.ns = clock_monotonic_ns();
	}
	pthread_mutex_unlock(&last.lock);
}

void kafka_trouble_note(bool final, const char *text)
{
	note(final, text);
}

void kafka_trouble_log(const char *text)
{
	char broker[BROKER_MAX], what[WHAT_MAX], sentence[sizeof(last.text)];
	const struct verdict *v;

	take_apart(text, broker, what);
	/* A token that could not be had was said already, and why; a broker may close what stood open. */
	if (strstr(what, "no token available") || (strstr(text, "in state UP") && !strstr(what, "might require SASL")))
		return;
	v = judge(what);
	snprintf(sentence, sizeof(sentence), "%s: %s: %s", broker, v->cause ? v->cause : what, v->way);
	note(v->final, sentence);
}

void kafka_trouble_over(void)
{
	pthread_mutex_lock(&last.lock);
	last.text[0] = '\0';
	last.final = false;
	pthread_mutex_unlock(&last.lock);
}

bool kafka_trouble_is_known(void)
{
	bool known;

	pthread_mutex_lock(&last.lock);
	known = last.text[0] != '\0';
	pthread_mutex_unlock(&last.lock);
	return known;
}

bool kafka_trouble_is_final(void)
{
	bool final;

	pthread_mutex_lock(&last.lock);
	final = last.text[0] && last.final && clock_monotonic_ns() - last.ns < FRESH_NS;
	pthread_mutex_unlock(&last.lock);
	return final;
}

int kafka_trouble_explain(const char *what, struct err *err)
{
	pthread_mutex_lock(&last.lock);
	if (last.text[0] && clock_monotonic_ns() - last.ns < FRESH_NS)
		err_set(err, err->kind, "kafka: %s%s%s", what ? what : "", what ? ": " : "", last.text);
	pthread_mutex_unlock(&last.lock);
	return -1;
}
