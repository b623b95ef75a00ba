#pragma once
/* What a body asks for as a backfill. */
#include <jansson.h>

#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/subscriptions.h"

struct asking {
	struct api_call *call;
	json_t *body;
	struct subscriptions list;
	const struct subscription *subscription;
	json_t *symbols; /* as asked, or the subscription's own */
	char *symbols_text, *request;
	const char *reprocess, *budget_usd; /* "": no such budget */
	int64_t budget_calls;
	int64_t now_ns;
	int32_t from, to; /* `to` is not included */
};

/* `call` and `list` are set; false: the response says what is wrong. */
bool asking_read(struct asking *a);
void asking_release(struct asking *a);

/* One key that a body may have. */
struct body_member {
	const char *key, *takes;
	bool (*check)(const json_t *value);
	bool required;
};

/* Members end with a NULL key; false: the response says what is wrong. */
bool body_check(struct api_call *call, json_t *body, const struct body_member *members);

/* Checks of what both bodies have, and the sentence about it. */
#define WHY_TAKES "a text of 500 bytes"
bool body_is_why(const json_t *value);
bool body_is_text(const json_t *value, size_t max);
