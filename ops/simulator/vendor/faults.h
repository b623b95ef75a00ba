#pragma once
/* Faults on demand: which requests they hit, how often, and what happens then. */
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/json_out.h"
#include "ops/simulator/vendor/answer.h"

#define FAULTS_MAX 100

struct fault {
	char method[8]; /* empty: any */
	char path[128]; /* a pattern as of a shell, "*" for any path; empty: any */
	int64_t skip;   /* so many requests pass first */
	int64_t count;  /* so many are hit; below 0: all */
	int64_t delay_ms;
	int64_t status; /* 0: the answer is made as without the fault */
	int64_t retry_after_s;
	char error_case[64]; /* empty: detail is a text */
	char message[128];
	char warning[128];
	int64_t cut_after_bytes, stall_after_bytes, corrupt_after_bytes; /* of the body as it is sent; below 0: not */
	int64_t stall_ms;
	int64_t slow_bytes_per_second; /* 0: not */
};

#define FAULT_INIT \
	{ \
		.count = 1, .retry_after_s = -1, .cut_after_bytes = -1, .stall_after_bytes = -1, \
		.corrupt_after_bytes = -1 \
	}

struct fault_row {
	struct fault fault;
	uint64_t id, seen, hits;
};

struct faults {
	pthread_mutex_t lock;
	struct fault_row rows[FAULTS_MAX];
	uint32_t count;
	uint64_t ids;
};

/* From a JSON object, or from "status=503,count=2". ERR_RECORD names what is wrong. */
int fault_parse_json(const json_t *object, struct fault *ret, struct err *err);
int fault_parse_text(const char *text, struct fault *ret, struct err *err);
void fault_help(void); /* prints the table of keys */

int faults_add(struct faults *faults, const struct fault *fault, uint64_t *ret_id, struct err *err);
void faults_clear(struct faults *faults);
void faults_put(struct faults *faults, struct json_out *json);

/* The first that hits this request, counted; false: none. */
bool faults_take(struct faults *faults, const char *method, const char *path, struct fault *ret);

/* False: it was cut short, because the server ends. */
bool fault_wait(int64_t ns);
void fault_end_waits(void);

/* Cuts, slows, stalls, corrupts what the answer sends. */
void fault_trouble_body(const struct fault *fault, struct answer *answer);
