#pragma once
/* One request: who asks, and its parameters, whether they came in the query string or as a form. */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define REQUEST_BODY_MAX (1024 * 1024)
#define REQUEST_PARAMETERS_MAX 64
#define API_KEY_LENGTH 32

struct request_parameter {
	char *name, *value;
};

struct request {
	const char *method, *path;
	char key[API_KEY_LENGTH + 1]; /* empty: none that is valid */
	struct buf body;
	struct request_parameter parameters[REQUEST_PARAMETERS_MAX];
	uint32_t parameter_count;
	char host[128]; /* as the client calls this server */
	char range[64]; /* the Range header */
};

/* Takes copies. More parameters than there is room for are dropped. */
void request_add(struct request *request, const char *name, const char *value);
/* The body as application/x-www-form-urlencoded. */
void request_parse_form(struct request *request);
void request_release(struct request *request);

const char *request_text(const struct request *request, const char *name); /* NULL: absent or empty */
bool request_flag(const struct request *request, const char *name, bool fallback);
/* False where it is there and no number. */
bool request_number(const struct request *request, const char *name, uint64_t *ret);

/* A key the simulator takes: db- and 32 characters in all. */
bool request_key_is_valid(const char *key);
