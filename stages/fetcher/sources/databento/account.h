#pragma once
/*
 * The vendor's address and our key, and how its calls are paced: keys
 * `databento.*` of the fetcher (keys.c).
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"

#define DATABENTO_URL "https://hist.databento.com"

struct databento_account {
	const char *url;     /* without a slash at its end */
	const char *key;     /* "": there is none, and nothing can be fetched */
	const char *ca_file; /* "": the system's */
	int64_t calls_per_minute, burst;
	unsigned tries_max; /* of one call in a row without a byte of progress */
	unsigned stall_s;
	int64_t backoff_ms, backoff_ms_max, poll_ms;
};

/*
 * Reads cfg, and where it says nothing the vendor's own variables
 * DATABENTO_API_KEY and DATABENTO_GATEWAY. ERR_FATAL where address or key
 * cannot be one. Texts live as long as cfg and the environment.
 */
int databento_account_read(struct databento_account *ret, const struct config *cfg, struct err *err);
