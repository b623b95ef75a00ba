#pragma once
/*
 * How one thread tells another that there is work, or that it is time to end.
 * Any number of wake-ups before the other waits are one.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct wakeup {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool woken, stopped; /* under the lock */
};

void wakeup_init(struct wakeup *wakeup);
void wakeup_release(struct wakeup *wakeup);

void wakeup_wake(struct wakeup *wakeup);
void wakeup_stop(struct wakeup *wakeup);
bool wakeup_stopped(struct wakeup *wakeup);

/* Until it is woken or stopped, ms at most. False: stopped. */
bool wakeup_wait(struct wakeup *wakeup, int64_t ms);
