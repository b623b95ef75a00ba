#pragma once
/* A thread beside the main one, signals stay the main thread's; and conditions that are waited for by the monotonic clock. */
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "common/err.h"

/* what: for the error, ERR_RETRY: "the sender". */
int thread_start(pthread_t *ret, void *(*run)(void *), void *self, const char *what, struct err *err);

void thread_cond_init(pthread_cond_t *condition);
struct timespec thread_in_ms(int64_t ms);
