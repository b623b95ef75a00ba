#include "common/broker.h"

#include "common/log.h"
#include "common/worker.h"

static bool away;

void broker_failed(const struct err *trouble)
{
	if (!away)
		log_warning("kafka_error", NULL, "%s", trouble->text);
	away = true;
	worker_set_missing(WORKER_BROKER, trouble->text);
}

void broker_works(void)
{
	if (!away)
		return;
	away = false;
	log_info("broker_back", NULL, "the broker answers again");
	worker_set_missing(WORKER_BROKER, NULL);
}

bool broker_is_away(void)
{
	return away;
}

void broker_ask(struct kafka_consumer *consumer)
{
	if (away && kafka_consumer_answers(consumer))
		broker_works();
}
