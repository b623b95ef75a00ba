#pragma once
/* One request with JSON in and out, waited for: what commands and starts need. Vendors are called by http_client. */
#include <jansson.h>

#include "common/err.h"

struct http_json_call {
	const char *method, *url;
	const char *body;         /* JSON text; NULL: none */
	const char *content_type; /* NULL: application/json */
	const char *bearer;       /* token; NULL: none */
	const char *user, *password;
	const char *ca_file; /* PEM; NULL or "": the system's */
	size_t answer_max;   /* bytes; 0: 64 MiB */
	long seconds;        /* until it is given up; 0: 60 */
};

/* ERR_RETRY: no answer, *err says why. Else the status, and what was answered as text (owned). */
int http_text(const struct http_json_call *call, long *ret_status, char **ret, struct err *err);
/* The same, and the answer's JSON (owned), NULL where it has none. */
int http_json(const struct http_json_call *call, long *ret_status, json_t **ret, struct err *err);
