#pragma once
/* Answers, and errors in the vendor's shape. */
#include <stdint.h>

#include "common/json_out.h"
#include "ops/simulator/vendor/body.h"

#define ANSWER_MAX (64 * 1024 * 1024)

struct answer {
	int status;
	const char *content_type;
	int64_t retry_after_s; /* below 0: no header */
	char range[96];        /* Content-Range; empty: no header */
	char warning[256];     /* X-Warning; empty: no header */
	struct body body;
};

#define ANSWER_INIT \
	{ \
		.status = 200, .content_type = "application/json", .retry_after_s = -1 \
	}

void answer_release(struct answer *answer);

/* The text that was written becomes the body. */
void answer_json(struct answer *answer, struct buf *text);

/* {"detail": "text"} */
void answer_detail(struct answer *answer, int status, const char *text);

/* {"detail": {"case", "message", "status_code", "docs", "payload"}}; payload: JSON, or NULL for null. */
void answer_case(struct answer *answer, int status, const char *name, const char *message, const char *payload);
