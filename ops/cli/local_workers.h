#pragma once
/* The workers of a pipeline that run on this machine, as /proc has them. */
#include <stdint.h>

#define LOCAL_KIND_MAX 32

struct local_worker {
	char kind[LOCAL_KIND_MAX]; /* "validator" */
	int pid;
	int64_t resident_kib, peak_kib; /* -1: not known */
};

/* Those that read this configuration file, by kind and pid; of other users' processes that cannot be told. Owned by the caller. */
unsigned local_workers(const char *config, struct local_worker **ret);
