#include "common/wakeup.h"

#include "common/thread.h"

void wakeup_init(struct wakeup *wakeup)
{
	pthread_mutex_init(&wakeup->lock, NULL);
	thread_cond_init(&wakeup->changed);
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

bool wakeup_wait(struct wakeup *wakeup, int64_t ms)
{
	const struct timespec until = thread_in_ms(ms);
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
