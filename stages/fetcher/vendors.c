#include <string.h>

#include "common/http_client.h"
#include "common/log.h"
#include "stages/fetcher/fetcher_internal.h"

/* Files and what is put back need nothing; a vendor's tasks are taken by those that have its key. */
static bool always(const struct fetcher *fetcher)
{
	(void)fetcher;
	return true;
}

static bool has_databento(const struct fetcher *fetcher)
{
	return fetcher->databento.key[0] != '\0';
}

static const struct {
	const char *topic;
	bool (*is_configured)(const struct fetcher *fetcher);
} task_topics[] = {
	{ "etl.tasks.file", always },
	{ "etl.tasks.databento", has_databento },
	{ "etl.tasks.kafka", always },
};

struct slot *fetcher_slot(struct fetcher *fetcher, const char *topic, int32_t partition)
{
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->partition == partition && strcmp(slot->topic, topic) == 0)
			return slot;
	return NULL;
}

/* The topic's name as it lives as long as we do. */
static const char *topic_of(const struct fetcher *fetcher, const char *name)
{
	for (unsigned i = 0; i < fetcher->topic_count; i++)
		if (strcmp(fetcher->topics[i], name) == 0)
			return fetcher->topics[i];
	return NULL;
}

struct slot *fetcher_add_slot(struct fetcher *fetcher, const char *topic, int32_t partition)
{
	struct slot *slot = fetcher_slot(fetcher, topic, partition);

	topic = topic_of(fetcher, topic);
	if (slot || !topic || fetcher->slots_end == fetcher->slots + SLOTS_MAX)
		return slot;
	slot = fetcher->slots_end++;
	slot->topic = topic;
	slot->partition = partition;
	limiter_init(&slot->limiter, fetcher->databento.calls_per_minute, fetcher->databento.burst);
	slot->env = fetcher->env;
	slot->env.limiter = &slot->limiter;
	slot->env.trouble = &slot->trouble;
	slot->env.calls = &slot->calls;
	return slot;
}

int fetcher_open_sources(struct fetcher *fetcher, const struct worker *worker, struct err *err)
{
	if (databento_account_read(&fetcher->databento, worker->cfg, err))
		return -1;
	fetcher->env.spool = config_text(worker->cfg, "databento.spool");
	fetcher->env.cfg = worker->cfg;
	fetcher->env.topics = worker->topics;
	for (unsigned i = 0; i < sizeof(task_topics) / sizeof(task_topics[0]); i++)
		if (task_topics[i].is_configured(fetcher))
			fetcher->topics[fetcher->topic_count++] = topics_name(worker->topics, task_topics[i].topic);
	return 0;
}

static void wake(void *self)
{
	kafka_consumer_wake(self);
}

int fetcher_start_http(struct fetcher *fetcher, struct err *err)
{
	struct source_env *env = &fetcher->env;

	env->databento = &fetcher->databento;
	if (has_databento(fetcher) && http_client_start(&env->http, wake, fetcher->consumer, err))
		return -1;
	return 0;
}

void fetcher_stop_http(struct fetcher *fetcher)
{
	http_client_freep(&fetcher->env.http);
}
