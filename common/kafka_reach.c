/* Whether the brokers are such as this can work with: asked once, before a worker begins. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/kafka_internal.h"
#include "common/kafka_trouble.h"
#include "common/log.h"
#include "common/mem.h"

#define REACH_MS 5000 /* where nothing is heard of it */
#define FIRST_MS 500
#define CERTAIN_MS 1500 /* one broker's refusal is none of the others' */

/*
 * Offsets in a transaction with the group's member and generation (KIP-447):
 * without it a worker that lost its partitions could still commit them.
 */
#define OLDEST "2.5"
#define TXN_OFFSET_COMMIT 28
#define TXN_OFFSET_COMMIT_VERSION 3

static struct {
	_Atomic bool listening;
	_Atomic int heard, version; /* requests that the broker told of; -1: not that one */
} apis;

/* "[thrd:…]: host:9092/bootstrap:   ApiKey TxnOffsetCommit (28) Versions 0..4", of `debug=feature`: it has no call for it. */
void kafka_reach_hear(const char *text)
{
	const char *from = apis.listening ? strstr(text, "ApiKey ") : NULL;
	int key, oldest, newest;

	if (!from || sscanf(from, "ApiKey %*s (%d) Versions %d..%d", &key, &oldest, &newest) != 3)
		return;
	apis.heard++;
	if (key == TXN_OFFSET_COMMIT &&
	    (apis.version < 0 || newest < apis.version)) /* of several brokers, the oldest */
		apis.version = newest;
}

static void destroy_metadatap(const struct rd_kafka_metadata **metadata)
{
	if (*metadata)
		rd_kafka_metadata_destroy(*metadata);
}

int kafka_metadata(rd_kafka_t *rk, bool all, int timeout_ms, const struct rd_kafka_metadata **ret, struct err *err)
{
	int64_t begun_ns = clock_monotonic_ns(), past_ms = 0;
	rd_kafka_resp_err_t e;
	bool final;

	for (int wait_ms = FIRST_MS;; wait_ms *= 2) {
		int left_ms = timeout_ms - (int)past_ms;

		e = rd_kafka_metadata(rk, all, NULL, ret, wait_ms < left_ms ? wait_ms : left_ms);
		past_ms = (clock_monotonic_ns() - begun_ns) / NS_PER_MS;
		final = e && kafka_trouble_is_final();
		if (!e || past_ms >= timeout_ms || (final && past_ms >= CERTAIN_MS))
			break;
	}
	if (!e) {
		kafka_trouble_over();
		return 0;
	}
	err_set(err, final ? ERR_FATAL : ERR_RETRY, "kafka: no broker answers: %s; look at kafka.bootstrap.servers",
		rd_kafka_err2str(e));
	return kafka_trouble_explain(final ? NULL : "no broker answers", err);
}

/* What a user said, and the brokers' versions. */
static int ask_for_versions(rd_kafka_conf_t *conf, struct err *err)
{
	char said[400] = "", text[KAFKA_ERRSTR];
	size_t size = sizeof(said);
	CLEANUP(freep) char *debug = NULL;

	if (rd_kafka_conf_get(conf, "debug", said, &size) != RD_KAFKA_CONF_OK)
		said[0] = '\0';
	debug = mem_printf("%s%sfeature", said, said[0] ? "," : "");
	if (rd_kafka_conf_set(conf, "debug", debug, text, sizeof(text)) != RD_KAFKA_CONF_OK)
		return err_set(err, ERR_FATAL, "kafka.debug: %s", text);
	apis.heard = 0;
	apis.version = -1;
	apis.listening = true;
	return 0;
}

static int check_versions(const char *servers, struct err *err)
{
	apis.listening = false;
	if (apis.heard == 0 || apis.version >= TXN_OFFSET_COMMIT_VERSION) /* unheard: the library speaks otherwise */
		return 0;
	return err_set(err, ERR_FATAL,
		       "kafka: the broker at kafka.bootstrap.servers=%s is too old: Kafka " OLDEST
		       " or newer is needed, "
		       "for transactions that know their consumer group (TxnOffsetCommit %d, and it has up to %d)",
		       servers, TXN_OFFSET_COMMIT_VERSION, apis.version);
}

/* Where nobody listens there is nothing to wait for here: who needs a broker does that, and says so. */
static int ask_patiently(rd_kafka_t *rk, const struct rd_kafka_metadata **ret, struct err *err)
{
	if (kafka_metadata(rk, false, CERTAIN_MS, ret, err) == 0)
		return 0;
	if (err->kind != ERR_RETRY || kafka_trouble_is_known())
		return -1;
	err_clear(err);
	return kafka_metadata(rk, false, REACH_MS, ret, err);
}

int kafka_reach(const struct config *cfg, struct err *err)
{
	static const struct kafka_property fixed[] = { { "log.connection.close", "true" },
						       { 0 } }; /* it is told there */
	CLEANUP(destroy_metadatap) const struct rd_kafka_metadata *metadata = NULL;
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = NULL;
	CLEANUP(kafka_client_freep) rd_kafka_t *rk = NULL; /* of a producer, which has no group to look after */
	char servers[200] = "";
	size_t size = sizeof(servers);

	if (kafka_conf_new(&conf, RD_KAFKA_PRODUCER, cfg, NULL, fixed, err) || ask_for_versions(conf, err) ||
	    kafka_new(&rk, RD_KAFKA_PRODUCER, &conf, err))
		return -1;
	rd_kafka_conf_get(rd_kafka_conf(rk), "bootstrap.servers", servers, &size);
	if (ask_patiently(rk, &metadata, err) == 0)
		return check_versions(servers, err);
	apis.listening = false;
	if (err->kind != ERR_RETRY)
		return -1;
	log_warning("broker_unavailable", NULL, "%s; trying again", err->text);
	err_clear(err);
	return 0;
}
