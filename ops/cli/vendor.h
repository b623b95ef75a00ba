#pragma once
/*
 * A vendor's API as the fetcher sees it, for commands that ask it something:
 * the fetcher's own configuration and sources, on this thread.
 */
#include "common/config.h"
#include "common/err.h"
#include "common/wakeup.h"
#include "stages/fetcher/pace.h"
#include "stages/fetcher/source.h"
#include "stages/fetcher/sources/databento/account.h"

struct vendor {
	struct config *cfg; /* the fetcher's */
	struct databento_account account;
	struct limiter limiter;
	struct source_env env;
	struct wakeup woken;
	bool opened;
};

#define VENDOR_INIT \
	{ \
		.cfg = NULL \
	}

/* `config`: as --config says, NULL where it does not. Takes --set out of argv. ERR_FATAL: the configuration. */
int vendor_open(struct vendor *vendor, const char *config, int *argc, char **argv, struct err *err);
void vendor_release(struct vendor *vendor);

/* Until something arrives, or that time (monotonic ns) has come. */
void vendor_wait(struct vendor *vendor, int64_t ready_ns);
