#include "common/cleanup.h"
#include "common/clock.h"
#include "stages/orchestrator/plan_internal.h"

#define PARAMETERS_MAX 200 /* bytes */

static void put_day(struct json_out *out, const char *key, int64_t ns)
{
	char text[CLOCK_TEXT_MAX];

	clock_format_date(clock_day_of(ns), text);
	plan_put(out, key, text);
}

void plan_quote_parameters(int64_t start, int64_t end, bool looks, struct buf *out)
{
	struct json_out json = JSON_OUT(out);

	json_put_open(&json, '{');
	plan_put(&json, "action", looks ? "conditions" : "quote");
	put_day(&json, "from", start);
	put_day(&json, "to", end - 1);
	json_put_close(&json, '}');
}

const char *plan_fetch_parameters(bool batch)
{
	return batch ? "{\"action\":\"fetch\",\"via\":\"batch\"}" : "{\"action\":\"fetch\"}";
}

static void put_symbols(struct json_out *out, const struct vendor_request *v)
{
	json_put_key(out, "symbols");
	json_put_open(out, '[');
	for (unsigned i = 0; i < v->symbol_count; i++)
		json_put_str(out, str_of(v->symbols[i]));
	json_put_close(out, ']');
}

/* All that the windows need later stands in the quote's task: what is approved is what runs. */
static void put_request(struct json_out *out, const struct subscription *s, int64_t end, bool looks)
{
	const struct vendor_request *v = &s->vendor;
	CLEANUP(buf_release) struct buf parameters = BUF_INIT(PARAMETERS_MAX);

	plan_quote_parameters(v->start, end, looks, &parameters);
	plan_put(out, "dataset", s->dataset);
	plan_put(out, "schema", s->schema);
	plan_put(out, "record_type", v->record_type);
	plan_put(out, "stype_in", v->stype_in);
	put_symbols(out, v);
	json_put_key(out, "start");
	json_put_time(out, v->start);
	json_put_key(out, "end");
	json_put_time(out, end);
	plan_put(out, "chunk", window_chunks[v->chunk]);
	plan_put(out, "via", v->via);
	json_put_key(out, "cost_max_usd");
	json_put_decimal(out, v->cost_max);
	plan_put(out, "parameters", buf_text(&parameters));
	if (!looks)
		return;
	json_put_key(out, "looks");
	json_put_bool(out, true);
}

/* What a vendor sells is asked for its price first. */
int plan_quote(struct planner *p, struct err *err)
{
	const struct subscription *s = p->subscription;
	int64_t end = s->vendor.has_end ? s->vendor.end : p->now_ns;

	if (end <= s->vendor.start)
		return err_set(err, ERR_RECORD, "%s:%u: subscription %s: its start is in the future", p->list->file,
			       s->line, s->name);
	if (p->plan->count >= p->tasks_max)
		return err_set(err, ERR_RECORD, "more than %lld tasks in one run; run fewer subscriptions at once",
			       (long long)p->tasks_max);
	plan_open_task(p, "quote");
	put_request(&p->out, s, end, p->looks);
	plan_close_task(p);
	p->plan->quotes++;
	return 0;
}
