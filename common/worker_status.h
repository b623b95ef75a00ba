#pragma once
/* A line in the log from time to time: what the worker did since the last one, and how large it is. */
#include "common/config.h"
#include "common/err.h"

struct worker_status;

/* `work` names it: "validation". No thread where log.status_s is 0. */
int worker_status_open(struct worker_status **ret, const struct config *cfg, const char *work, struct err *err);
/* With a last line. */
void worker_status_freep(struct worker_status **status);
