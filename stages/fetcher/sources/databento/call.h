#pragma once
/*
 * One call of the vendor's historical API, from the wait for its turn to its
 * answer: 429, 5xx and a network that fails are tried again, anything else
 * that the vendor refuses is its answer. Nothing here waits.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "stages/fetcher/pace.h"
#include "stages/fetcher/source.h"

struct http_transfer;

/* What the vendor said where it did not give what was asked for. */
struct databento_refusal {
	long status;
	char case_name[64]; /* "data_end_after_available_end"; "" where it named none */
	char message[320];
	int64_t available_end; /* ns; 0: not said */
};

enum call_step {
	CALL_LATER,    /* nothing yet: at ready_ns, or when the client wakes */
	CALL_ANSWERED, /* read whole: `answer` is the body; streamed: databento_call_input() gives it */
	CALL_REFUSED,  /* `refusal` */
};

struct databento_call {
	const struct source_env *env;
	const char *name; /* "metadata.get_cost" */
	bool post, streamed;
	int64_t range_from;
	struct buf form; /* its fields, or the query's */
	struct http_transfer *transfer;
	bool answered;
	struct buf answer;
	int64_t body_bytes; /* of all bodies of this call that were read, tried again or not */
	struct databento_refusal refusal;
	struct backoff backoff;
	unsigned failures; /* in a row */
	int64_t not_before_ns, started_ns;
};

void databento_call_init(struct databento_call *call, const struct source_env *env);
void databento_call_release(struct databento_call *call);

/* Another call: its name, then its fields. The name is a constant, or lives as long as the call is used. */
enum databento_method { DATABENTO_GET, DATABENTO_POST };
void databento_call_begin(struct databento_call *call, enum databento_method method, const char *name);
void databento_call_field(struct databento_call *call, const char *name, struct str value);
/* ISO 8601 with nanoseconds; a date. */
void databento_call_time(struct databento_call *call, const char *name, int64_t ns);
void databento_call_date(struct databento_call *call, const char *name, int32_t day);

/* -1: tried too often without getting further, ERR_RECORD with what the vendor said last. */
int databento_call_step(struct databento_call *call, enum call_step *ret, int64_t *ready_ns, struct err *err);

/* Up to n bytes of a streamed answer, as struct byte_input has it. A transfer that failed fails the input. */
ssize_t databento_call_input(void *call, uint8_t *to, size_t n, struct err *failure);

/* The answer broke off, or is not what it should be: it is asked for again. -1 as databento_call_step(). */
int databento_call_again(struct databento_call *call, const char *why, struct err *err);

/* Something of the answer was of use: failures before it do not count any more. */
void databento_call_progress(struct databento_call *call);

/* The answer as JSON, the caller's; NULL with ERR_RECORD where it is none. */
json_t *databento_call_json(const struct databento_call *call, struct err *err);
