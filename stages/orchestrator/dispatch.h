#pragma once
/*
 * The outbox at work: an attempt is committed as 'sending', produced to its
 * slot and marked 'sent'. Where the last step is missing (a crash, a lost
 * broker) the slot itself is asked before anything is sent again.
 */
#include <stdbool.h>

#include "common/err.h"

struct dispatch;
struct orchestrator;

struct dispatch *dispatch_new(void);
void dispatch_freep(struct dispatch **dispatch);

/* Sends what fits; *ret_busy where there may be more. */
int dispatch_step(struct dispatch *dispatch, struct orchestrator *self, bool *ret_busy, struct err *err);

/* Tells the fetchers by way of etl.control; false in *ret_told: the broker is away, it is to be said again. */
int dispatch_tell(struct dispatch *dispatch, struct orchestrator *self, const char *key, const char *message,
		  bool *ret_told, struct err *err);

/* Looks for tasks that somebody skipped (`penstock offsets skip`): another attempt is needed. */
int dispatch_watch(struct dispatch *dispatch, struct orchestrator *self, struct err *err);
