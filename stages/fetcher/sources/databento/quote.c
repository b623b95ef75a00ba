/*
 * What a window would cost before any of it is bought: the range that the
 * vendor has, its counts and price, the condition of each day, and which
 * symbols it knows.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/json_in.h"
#include "common/json_out.h"
#include "common/mem.h"
#include "common/number_text.h"
#include "stages/fetcher/sources/databento/actions.h"
#include "stages/fetcher/sources/databento/request.h"
#include "stages/fetcher/sources/databento/resolve.h"

#define RESULT_MAX (TASK_RESULT_MAX - 1024) /* each day of the window has a condition */

struct quote;

/* A call and what is made of its answer; of what every schema has, or only of records that are sold. */
struct quote_step {
	const char *call;
	enum databento_method method;
	bool sold;
	void (*ask)(struct quote *quote);
	int (*take)(struct quote *quote, struct err *err); /* 1: the call is made once more */
};

struct quote {
	struct source base;
	const struct fetch_task *task;
	struct databento_call call;
	bool conditions_only;
	const struct quote_step *step; /* behind the last one: all is known */
	int64_t available_start, available_end;
	int64_t start, end; /* of what can be had of the window */
	int64_t records, bytes, cost;
	struct resolve resolve;
	json_t *conditions;
	struct buf result;
};

/* --- the calls ----------------------------------------------------------------------------------------------------------- */

static void ask_dataset(struct quote *q)
{
	databento_call_field(&q->call, "dataset", str_of(q->task->dataset));
}

static void ask_window(struct quote *q)
{
	databento_put_request(&q->call, q->task, q->start, q->end);
}

static void ask_days(struct quote *q)
{
	databento_put_days(&q->call, q->task, q->start, q->end);
}

static void ask_symbols(struct quote *q)
{
	resolve_put(&q->resolve, &q->call, q->start, q->end);
}

/* --- their answers --------------------------------------------------------------------------------------------------------- */

static int bad(const struct quote *q, const char *what, struct err *err)
{
	return err_set(err, ERR_RECORD, "databento: %s: the answer has no %s", q->call.name, what);
}

static bool read_time(const json_t *object, const char *key, int64_t *ret)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && clock_parse(str_of(text), ret);
}

/* The schema's own range, where it is told. */
static int take_range(struct quote *q, struct err *err)
{
	CLEANUP(json_freep) json_t *json = databento_call_json(&q->call, err);
	const json_t *own = json_object_get(json_object_get(json, "schema"), q->task->schema);

	if (!json)
		return -1;
	if (!read_time(own ? own : json, "start", &q->available_start) &&
	    !read_time(json, "start_date", &q->available_start))
		return bad(q, "start", err);
	if (!read_time(own ? own : json, "end", &q->available_end) && !read_time(json, "end_date", &q->available_end))
		return bad(q, "end", err);
	if (q->available_end < q->end)
		q->end = q->available_end;
	if (q->available_start > q->start)
		q->start = q->available_start;
	return 0;
}

static int take_records(struct quote *q, struct err *err)
{
	return databento_take_number(&q->call, &q->records, err);
}

static int take_bytes(struct quote *q, struct err *err)
{
	return databento_take_number(&q->call, &q->bytes, err);
}

/* A float's text: rounded to what a price of ours holds, a billionth of a dollar. */
static int take_cost(struct quote *q, struct err *err)
{
	bool rounded = false;

	if (number_text_price(databento_answer_text(&q->call), NUMBER_FLOAT64, &q->cost, &rounded, err))
		return err_wrap(err, "databento: %s", q->call.name);
	return 0;
}

static int take_conditions(struct quote *q, struct err *err)
{
	q->conditions = databento_call_json(&q->call, err);
	if (!q->conditions)
		return -1;
	return json_is_array(q->conditions) ? 0 : bad(q, "array of days", err);
}

static int take_symbols(struct quote *q, struct err *err)
{
	CLEANUP(json_freep) json_t *answer = resolve_take(&q->resolve, &q->call, err);

	if (!answer)
		return -1;
	return !resolve_ended(&q->resolve);
}

static const struct quote_step steps[] = {
	{ "metadata.get_dataset_range", DATABENTO_GET, false, ask_dataset, take_range },
	{ "metadata.get_dataset_condition", DATABENTO_GET, false, ask_days, take_conditions },
	{ "symbology.resolve", DATABENTO_POST, false, ask_symbols, take_symbols },
	{ "metadata.get_record_count", DATABENTO_POST, true, ask_window, take_records },
	{ "metadata.get_billable_size", DATABENTO_POST, true, ask_window, take_bytes },
	{ "metadata.get_cost", DATABENTO_POST, true, ask_window, take_cost },
};

#define STEPS_END (steps + sizeof(steps) / sizeof(steps[0]))

/* --- the source -------------------------------------------------------------------------------------------------------------- */

static bool is_needed(const struct quote *q)
{
	if (q->step == steps)
		return true;
	if (q->end <= q->start) /* the vendor has nothing of it */
		return false;
	if (q->conditions_only)
		return q->step->take == take_conditions;
	if (q->step->sold)
		return !databento_is_mappings(q->task);
	return q->step->take != take_symbols || !databento_is_all_symbols(q->task);
}

static void begin_step(struct quote *q)
{
	while (q->step < STEPS_END && !is_needed(q))
		q->step++;
	if (q->step == STEPS_END)
		return;
	databento_call_begin(&q->call, q->step->method, q->step->call);
	q->step->ask(q);
}

static int take_step(struct quote *q, enum call_step outcome, struct err *err)
{
	int again;

	if (outcome == CALL_REFUSED && databento_clip(&q->call.refusal, &q->end))
		return begin_step(q), 0;
	if (outcome == CALL_REFUSED)
		return databento_refused(&q->call, err);
	again = q->step->take(q, err);
	if (again < 0)
		return -1;
	q->step += !again;
	begin_step(q);
	return 0;
}

static int quote_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	struct quote *q = (struct quote *)source;
	enum call_step outcome = CALL_ANSWERED;
	int64_t ready_ns = 0;

	while (q->step < STEPS_END) {
		if (databento_call_step(&q->call, &outcome, &ready_ns, err))
			return -1;
		if (outcome == CALL_LATER) {
			*ret_item = (struct source_item){ .kind = SOURCE_LATER, .ready_ns = ready_ns };
			return 0;
		}
		if (take_step(q, outcome, err))
			return -1;
	}
	*ret_item = (struct source_item){ .kind = SOURCE_END };
	return 0;
}

static void put_json(struct json_out *out, const char *key, const json_t *array)
{
	CLEANUP(freep) char *text = array ? json_dumps(array, JSON_COMPACT) : NULL;

	json_put_key(out, key);
	json_put_raw(out, text ? str_of(text) : STR_LIT("[]"));
}

static const char *quote_result(struct source *source)
{
	struct quote *q = (struct quote *)source;
	struct json_out out = JSON_OUT(&q->result);
	char cost[DECIMAL_TEXT_MAX];

	buf_reset(&q->result);
	decimal_format(q->cost, cost);
	json_put_open(&out, '{');
	json_put_key(&out, "records");
	json_put_int(&out, q->records);
	json_put_key(&out, "bytes");
	json_put_int(&out, q->bytes);
	json_put_key(&out, "cost_usd");
	json_put_str(&out, str_of(cost));
	json_put_key(&out, "available_start");
	json_put_time(&out, q->available_start);
	json_put_key(&out, "available_end");
	json_put_time(&out, q->available_end);
	put_json(&out, "conditions", q->conditions);
	json_put_key(&out, "symbols");
	json_put_open(&out, '{');
	put_json(&out, "partial", q->resolve.partial);
	put_json(&out, "not_found", q->resolve.not_found);
	json_put_close(&out, '}');
	json_put_close(&out, '}');
	return q->result.overflow ? "" : buf_text(&q->result);
}

static const char *quote_identity(const struct source *source)
{
	(void)source;
	return "quote";
}

static int64_t quote_input_bytes(const struct source *source)
{
	(void)source;
	return 0;
}

static void quote_free(struct source *source)
{
	struct quote *q = (struct quote *)source;

	databento_call_release(&q->call);
	json_decref(q->conditions);
	resolve_release(&q->resolve);
	buf_release(&q->result);
	free(q);
}

static const struct source_ops quote_ops = {
	.name = "databento",
	.next = quote_next,
	.identity = quote_identity,
	.input_bytes = quote_input_bytes,
	.free = quote_free,
	.result = quote_result,
};

int databento_open_quote(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			 bool conditions_only, struct err *err)
{
	struct quote *q = mem_zalloc(1, sizeof(*q));

	(void)err;
	q->base.ops = &quote_ops;
	q->task = task;
	q->conditions_only = conditions_only;
	q->start = task->start;
	q->end = task->end;
	q->result = (struct buf)BUF_INIT(RESULT_MAX);
	q->step = steps;
	databento_call_init(&q->call, env);
	resolve_init(&q->resolve, task);
	begin_step(q);
	*ret = &q->base;
	return 0;
}
