#include "stages/fetcher/cursor.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/json_out.h"

void cursor_format(const struct cursor *cursor, char text[CURSOR_TEXT_MAX])
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(CURSOR_TEXT_MAX);
	struct json_out out = JSON_OUT(&buf);
	const struct {
		const char *key;
		int64_t value;
	} numbers[] = {
		{ "attempt", cursor->attempt }, { "task", cursor->task },       { "run", cursor->run },
		{ "as_of", cursor->as_of },     { "fetched", cursor->fetched }, { "refused", cursor->refused },
		{ "skipped", cursor->skipped }, { "starts", cursor->starts },
	};

	json_put_open(&out, '{');
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		json_put_key(&out, numbers[i].key);
		json_put_int(&out, numbers[i].value);
	}
	json_put_key(&out, "identity");
	json_put_str(&out, str_of(cursor->identity));
	json_put_key(&out, "resume");
	json_put_str(&out, str_of(cursor->resume));
	json_put_close(&out, '}');
	snprintf(text, CURSOR_TEXT_MAX, "%s", buf_text(&buf));
}

bool cursor_parse(const char *text, struct cursor *ret)
{
	CLEANUP(json_freep) json_t *json = json_loads(text, 0, NULL);
	json_int_t attempt, as_of, fetched, refused, skipped, task = 0, run = 0, starts = 0;
	const char *identity, *resume = "";

	if (!json || json_unpack(json, "{s:I, s?I, s?I, s:I, s:I, s:I, s:I, s?I, s:s, s?s}", "attempt", &attempt,
				 "task", &task, "run", &run, "as_of", &as_of, "fetched", &fetched, "refused", &refused,
				 "skipped", &skipped, "starts", &starts, "identity", &identity, "resume", &resume))
		return false;
	*ret = (struct cursor){
		.attempt = attempt,
		.task = task,
		.run = run,
		.as_of = as_of,
		.fetched = fetched,
		.refused = refused,
		.skipped = skipped,
		.starts = starts,
	};
	if (strlen(identity) >= sizeof(ret->identity) || strlen(resume) >= sizeof(ret->resume) || fetched < 0 ||
	    attempt < 0 || starts < 0)
		return false;
	snprintf(ret->identity, sizeof(ret->identity), "%s", identity);
	snprintf(ret->resume, sizeof(ret->resume), "%s", resume);
	return true;
}

bool cursor_same(const struct cursor *a, const struct cursor *b)
{
	return a->attempt == b->attempt && a->fetched == b->fetched && a->refused == b->refused &&
	       a->skipped == b->skipped;
}
