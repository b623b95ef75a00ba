#pragma once
/* What was billed: uncompressed bytes of records, per key and per window, while they are sent. */
#include <pthread.h>
#include <stdint.h>

#include "common/json_out.h"
#include "ops/simulator/vendor/request.h"

#define METER_KEYS_MAX 100
#define METER_WINDOWS_MAX 2000
#define METER_TEXT_MAX 160

struct meter_count {
	uint64_t requests, records, bytes;
};

struct meter_key {
	char key[API_KEY_LENGTH + 1];
	struct meter_count count;
};

struct meter_window {
	char key[API_KEY_LENGTH + 1];
	const char *dataset, *schema;
	char symbols[METER_TEXT_MAX]; /* cut where they are longer */
	int64_t start, end;
	struct meter_count count;
};

struct meter {
	pthread_mutex_t lock;
	struct meter_count total;
	struct meter_key keys[METER_KEYS_MAX];
	struct meter_window windows[METER_WINDOWS_MAX];
	uint32_t key_count, window_count; /* what does not fit is only in the total */
	uint64_t resets;
};

/* Which places of the meter a request counts in. */
struct meter_place {
	struct meter *meter;
	uint32_t key, window; /* UINT32_MAX: none */
	uint64_t resets;      /* places of before a reset are gone */
};

struct meter_place meter_enter(struct meter *meter, const struct meter_window *window);
void meter_add(const struct meter_place *place, uint64_t records, uint64_t bytes);
void meter_reset(struct meter *meter);
void meter_put(struct meter *meter, struct json_out *json);
