#include "common/thread.h"

#include <signal.h>
#include <string.h>

int thread_start(pthread_t *ret, void *(*run)(void *), void *self, const char *what, struct err *err)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(ret, NULL, run, self);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed ? err_set(err, ERR_RETRY, "no thread for %s: %s", what, strerror(failed)) : 0;
}
