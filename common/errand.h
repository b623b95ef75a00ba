#pragma once
/*
 * One thing at a time that a thread of its own does meanwhile. What it works
 * on is the other thread's between errand_start() and errand_wait().
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct errand;

typedef void errand_fn(void *self);

/* what: as thread_start() has it. */
int errand_open(struct errand **ret, errand_fn *work, void *self, const char *what, struct err *err);

/* Waits for what is under way. */
void errand_freep(struct errand **errand);

/* Calls work() in the other thread. Nothing is under way. */
void errand_start(struct errand *errand);

/* Whether it is still at it. */
bool errand_busy(const struct errand *errand);

/* The same after ms of waiting for its end, if it takes that long. */
bool errand_busy_after(struct errand *errand, int64_t ms);

/* Until nothing is under way. */
void errand_wait(struct errand *errand);
