#pragma once
/* A thread beside the main one. Signals stay the main thread's. */
#include <pthread.h>

#include "common/err.h"

/* what: for the error, ERR_RETRY: "the sender". */
int thread_start(pthread_t *ret, void *(*run)(void *), void *self, const char *what, struct err *err);
