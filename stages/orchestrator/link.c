#include "stages/orchestrator/link.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define DELAY_FIRST_MS 200
#define DELAY_MAX_MS 10000

bool link_ready(const struct link *link)
{
	return !link->failing || clock_monotonic_ns() >= link->retry_at_ns;
}

static void log_change(const struct link *link, enum log_level level, const char *what, const char *text)
{
	CLEANUP(freep) char *event = mem_printf("%s_%s", link->name, what);

	log_write(level, event, NULL, "%s", text);
}

void link_failed(struct link *link, const struct err *err)
{
	link->delay_ms = link->delay_ms == 0 ? DELAY_FIRST_MS : link->delay_ms * 2;
	if (link->delay_ms > DELAY_MAX_MS)
		link->delay_ms = DELAY_MAX_MS;
	link->retry_at_ns =
		clock_monotonic_ns() + (link->delay_ms / 2 + random() % (link->delay_ms / 2 + 1)) * INT64_C(1000000);
	if (!link->failing)
		log_change(link, LOG_ERROR, "unavailable", err->text);
	link->failing = true;
	atomic_store(link->up, false);
}

void link_works(struct link *link)
{
	if (link->failing)
		log_change(link, LOG_INFO, "back", "answers again");
	link->failing = false;
	link->delay_ms = 0;
	atomic_store(link->up, true);
}
