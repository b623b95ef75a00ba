#include "stages/fetcher/pace.h"

#include <stdlib.h>

#include "common/clock.h"

void limiter_init(struct limiter *limiter, int64_t calls_per_minute, int64_t burst)
{
	*limiter = (struct limiter){ .interval_ns = 60 * NS_PER_SECOND / calls_per_minute, .burst = burst };
}

/* What is left of the bucket's refilling at that time. */
static int64_t owed(const struct limiter *limiter, int64_t now_ns)
{
	return limiter->due_ns > now_ns ? limiter->due_ns - now_ns : 0;
}

int64_t limiter_take(struct limiter *limiter, int64_t now_ns)
{
	int64_t debt = owed(limiter, now_ns), credit = (limiter->burst - 1) * limiter->interval_ns;

	if (debt > credit)
		return now_ns + debt - credit;
	limiter->due_ns = now_ns + debt + limiter->interval_ns;
	return 0;
}

int64_t limiter_left(const struct limiter *limiter, int64_t now_ns)
{
	return limiter->burst - (owed(limiter, now_ns) + limiter->interval_ns - 1) / limiter->interval_ns;
}

int64_t backoff_ns(struct backoff *backoff)
{
	int64_t ms = backoff->next_ms > 0 ? backoff->next_ms : backoff->first_ms;

	backoff->next_ms = ms * 2 < backoff->max_ms ? ms * 2 : backoff->max_ms;
	return (ms / 2 + random() % (ms / 2 + 1)) * NS_PER_MS;
}

void backoff_reset(struct backoff *backoff)
{
	backoff->next_ms = 0;
}
