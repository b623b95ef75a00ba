#pragma once
/*
 * A connection that may be away for a while: says so once when it goes and
 * once when it is back, and spaces the tries between with jitter.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct link {
	const char *name; /* "database", "kafka": events <name>_unavailable and <name>_back */
	_Atomic bool *up; /* what the HTTP threads see */
	int64_t retry_at_ns;
	int64_t delay_ms;
	bool failing;
};

/* True when it is not failing, or when it is time to try again. */
bool link_ready(const struct link *link);

void link_failed(struct link *link, const struct err *err);
void link_works(struct link *link);
