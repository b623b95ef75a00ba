#pragma once
/* schemas/registry.lock, compiled in: which schema was locked under which id. The build has checked it. */
#include <stdbool.h>
#include <stdint.h>

#define SCHEMA_LOCK "schemas/registry.lock"

struct schema_version {
	char subject[64]; /* without topics.prefix: "etl.raw.ohlcv-value" */
	unsigned version; /* of the subject, from 1 */
	uint32_t id;
	char fingerprint[17]; /* CRC-64-AVRO in hexadecimal digits */
	char file[64];        /* in schemas/avro: "ohlcv.avsc" */
};

/* One version after the other, in the order in which they were made; *at begins as NULL. False: that was all. */
bool schema_lock_next(const char **at, struct schema_version *ret);

/* The newest id of a file; 0: it has none. */
uint32_t schema_lock_newest(const char *file);
