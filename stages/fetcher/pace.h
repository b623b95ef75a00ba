#pragma once
/*
 * When the next call to a vendor may go out: a token bucket for what the
 * vendor allows, and a back-off for what it refused. Times are monotonic ns;
 * nothing here waits.
 */
#include <stdint.h>

/* GCRA: so many calls at once, then one each interval. */
struct limiter {
	int64_t interval_ns;
	int64_t burst;
	int64_t due_ns; /* when the bucket will be full again */
};

void limiter_init(struct limiter *limiter, int64_t calls_per_minute, int64_t burst);

/* 0: a call is taken from the bucket. Else the time at which one can be. */
int64_t limiter_take(struct limiter *limiter, int64_t now_ns);

/* Calls that could go out now. */
int64_t limiter_left(const struct limiter *limiter, int64_t now_ns);

/* Doubles between first and max with each failure; what it gives lies between half of that and all of it. */
struct backoff {
	int64_t first_ms, max_ms;
	int64_t next_ms; /* 0: nothing failed */
};

/* How long to wait after one more failure. */
int64_t backoff_ns(struct backoff *backoff);
void backoff_reset(struct backoff *backoff);
