#include "common/errand.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/thread.h"

struct errand {
	errand_fn *work;
	void *self;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	atomic_bool busy; /* set and cleared under the lock; read without it, too */
	bool ending;      /* under the lock */
};

static void *run(void *pointer)
{
	struct errand *errand = pointer;

	pthread_mutex_lock(&errand->lock);
	while (true) {
		while (!atomic_load(&errand->busy) && !errand->ending)
			pthread_cond_wait(&errand->changed, &errand->lock);
		if (!atomic_load(&errand->busy))
			break;
		pthread_mutex_unlock(&errand->lock);
		errand->work(errand->self);
		pthread_mutex_lock(&errand->lock);
		atomic_store(&errand->busy, false);
		pthread_cond_broadcast(&errand->changed);
	}
	pthread_mutex_unlock(&errand->lock);
	return NULL;
}

int errand_open(struct errand **ret, errand_fn *work, void *self, const char *what, struct err *err)
{
	CLEANUP(errand_freep) struct errand *errand = mem_zalloc(1, sizeof(*errand));

	errand->work = work;
	errand->self = self;
	pthread_mutex_init(&errand->lock, NULL);
	thread_cond_init(&errand->changed);
	if (thread_start(&errand->thread, run, errand, what, err))
		return -1;
	errand->running = true;
	*ret = STEAL(errand);
	return 0;
}

void errand_freep(struct errand **pointer)
{
	struct errand *errand = *pointer;

	if (!errand)
		return;
	if (errand->running) {
		pthread_mutex_lock(&errand->lock);
		errand->ending = true;
		pthread_cond_broadcast(&errand->changed);
		pthread_mutex_unlock(&errand->lock);
		pthread_join(errand->thread, NULL);
	}
	pthread_cond_destroy(&errand->changed);
	pthread_mutex_destroy(&errand->lock);
	free(errand);
	*pointer = NULL;
}

void errand_start(struct errand *errand)
{
	pthread_mutex_lock(&errand->lock);
	atomic_store(&errand->busy, true);
	pthread_cond_broadcast(&errand->changed);
	pthread_mutex_unlock(&errand->lock);
}

bool errand_busy(const struct errand *errand)
{
	return atomic_load(&errand->busy);
}

bool errand_busy_after(struct errand *errand, int64_t ms)
{
	const struct timespec until = thread_in_ms(ms);
	bool busy;

	pthread_mutex_lock(&errand->lock);
	while (atomic_load(&errand->busy) &&
	       pthread_cond_timedwait(&errand->changed, &errand->lock, &until) != ETIMEDOUT)
		;
	busy = atomic_load(&errand->busy);
	pthread_mutex_unlock(&errand->lock);
	return busy;
}

void errand_wait(struct errand *errand)
{
	pthread_mutex_lock(&errand->lock);
	while (atomic_load(&errand->busy))
		pthread_cond_wait(&errand->changed, &errand->lock);
	pthread_mutex_unlock(&errand->lock);
}
