#include "common/cleanup.h"
#include "ops/simulator/vendor/calls.h"
#include "ops/simulator/vendor/data_body.h"

static const char *const content_types[] = { "application/octet-stream", "text/csv", "application/x-ndjson" };

static bool is_partial(const struct query *q)
{
	return !query_is_idle(q) &&
	       resolution_count(&q->resolution, FOUND_NOT) + resolution_count(&q->resolution, FOUND_PARTIAL) > 0;
}

void timeseries_get_range(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	CLEANUP(query_release) struct query query = { 0 };
	struct data_part all = { .symbol = UINT32_MAX };
	struct err err = ERR_INIT;

	if (query_open(&query, simulator, request, answer))
		return;
	all.start = query.window.start;
	all.end = query.window.end;
	answer->status = is_partial(&query) ? 206 : 200;
	answer->content_type = query.zstd ? "application/zstd" : content_types[query.encoding];
	if (data_body_open(&answer->body, &query, &all, &query, &err))
		answer_detail(answer, 413, err.text);
}
