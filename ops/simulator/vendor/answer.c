#include "ops/simulator/vendor/answer.h"

#define DOCS "https://databento.com/docs/api-reference-historical/basics/errors"

void answer_release(struct answer *answer)
{
	body_release(&answer->body);
}

void answer_json(struct answer *answer, struct buf *text)
{
	bool too_large = text->overflow;

	body_release(&answer->body);
	if (too_large) {
		answer->status = 413;
		buf_reset(text);
		buf_put_text(text, "{\"detail\":\"the answer is too large: ask for less\"}");
	}
	answer->content_type = "application/json";
	answer->body = body_of_buf(text);
}

void answer_detail(struct answer *answer, int status, const char *text)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	json_put_open(&json, '{');
	json_put_key(&json, "detail");
	json_put_str(&json, str_of(text));
	json_put_close(&json, '}');
	answer->status = status;
	answer_json(answer, &buf);
}

void answer_case(struct answer *answer, int status, const char *name, const char *message, const char *payload)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	json_put_open(&json, '{');
	json_put_key(&json, "detail");
	json_put_open(&json, '{');
	json_put_key(&json, "case");
	json_put_str(&json, str_of(name));
	json_put_key(&json, "message");
	json_put_str(&json, str_of(message));
	json_put_key(&json, "status_code");
	json_put_int(&json, status);
	json_put_key(&json, "docs");
	json_put_str(&json, STR_LIT(DOCS));
	json_put_key(&json, "payload");
	json_put_raw(&json, str_of(payload ? payload : "null"));
	json_put_close(&json, '}');
	json_put_close(&json, '}');
	answer->status = status;
	answer_json(answer, &buf);
}
