#include "common/wakeup.h"

#include <time.h>

void wakeup_init(struct wakeup *wakeup)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&wakeup->lock, NULL);
	pthread_cond_init(&wakeup->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	wakeup->woken = wakeup->stopped = false;
}

void wakeup_release(struct wakeup *wakeup)
{
	pthread_cond_destroy(&wakeup->changed);
	pthread_mutex_destroy(&wakeup->lock);
}

static void set(struct wakeup *wakeup, bool *what)
{
	pthread_mutex_lock(&wakeup->lock);
	*what = true;
	pthread_cond_signal(&wakeup->changed);
	pthread_mutex_unlock(&wakeup->lock);
}

void wakeup_wake(struct wakeup *wakeup)
{
	set(wakeup, &wakeup->woken);
}

void wakeup_stop(struct wakeup *wakeup)
{
	set(wakeup, &wakeup->stopped);
}

bool wakeup_stopped(struct wakeup *wakeup)
{
	bool stopped;

	pthread_mutex_lock(&wakeup->lock);
	stopped = wakeup->stopped;
	pthread_mutex_unlock(&wakeup->lock);
	return stopped;
}

static struct timespec in_ms(int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return until;
}

bool wakeup_wait(struct wakeup *wakeup, int64_t ms)
{
	const struct timespec until = in_ms(ms);
	bool stopped;

	pthread_mutex_lock(&wakeup->lock);
	while (!wakeup->woken && !wakeup->stopped)
		if (pthread_cond_timedwait(&wakeup->changed, &wakeup->lock, &until))
			break;
	wakeup->woken = false;
	stopped = wakeup->stopped;
	pthread_mutex_unlock(&wakeup->lock);
	return !stopped;
}
