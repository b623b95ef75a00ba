/* A request that a file of resources/ answers: its parameters, one page of rows, and the place where the next begins. */
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "stages/orchestrator/api/asked.h"
#include "stages/orchestrator/api/query_log.h"
#include "stages/orchestrator/api/rows.h"

#define VALUES_MAX (64 * 1024)
#define CURSOR_MAX 4096
#define NAMES_MAX 1000
#define SHOWN_MAX 64 /* bytes of a wrong value that the answer repeats */

void asked_release(struct asked *a)
{
	for (unsigned i = 0; i < RESOURCE_PARAMETERS_MAX; i++)
		buf_release(&a->storage[i]);
	buf_release(&a->cursor);
}

/* --- what is asked --------------------------------------------------------------------------------------------------------- */

static void put_names(const struct resource *q, bool paged, struct buf *names)
{
	for (unsigned i = 0; i < q->parameter_count; i++)
		if (!q->parameters[i].in_path)
			buf_printf(names, "%s, ", q->parameters[i].name);
	if (paged)
		buf_put_text(names, q->stream             ? "format"
				    : q->cursor_count > 0 ? "cursor, limit"
				    : q->limit > 0        ? "limit"
							  : "");
	if (names->len > 2 && names->data[names->len - 1] == ' ')
		names->len -= 2;
}

static void refuse_name(struct asked *a, const char *name, bool paged)
{
	CLEANUP(buf_release) struct buf names = BUF_INIT(NAMES_MAX);

	for (unsigned i = 0; i < a->resource->parameter_count; i++)
		if (!a->resource->parameters[i].in_path && strcmp(a->resource->parameters[i].name, name) == 0)
			return;
	put_names(a->resource, paged, &names);
	if (!a->refused)
		api_problem(a->call->response, 400, "there is no parameter '%.64s' here; there %s%s", name,
			    names.len > 0 ? "are: " : "is none", buf_text(&names));
	a->refused = true;
}

static void refuse_unknown(void *self, const char *name, const char *value)
{
	struct asked *a = self;

	(void)value;
	if ((a->resource->stream && strcmp(name, "format") == 0) ||
	    (a->resource->limit > 0 && strcmp(name, "limit") == 0) ||
	    (a->resource->cursor_count > 0 && strcmp(name, "cursor") == 0))
		return;
	refuse_name(a, name, true);
}

static void refuse_unknown_filter(void *self, const char *name, const char *value)
{
	(void)value;
	refuse_name(self, name, false);
}

/* text: what was said; of no data where nothing was. */
static void refuse_value(struct asked *a, const struct resource_parameter *parameter, struct str text)
{
	CLEANUP(buf_release) struct buf what = BUF_INIT(NAMES_MAX);

	resource_type_text(parameter, &what);
	if (text.data)
		api_problem(a->call->response, parameter->in_path ? 404 : 400, "%s: '%.*s' is not %s", parameter->name,
			    text.len > SHOWN_MAX ? SHOWN_MAX : (int)text.len, text.data, buf_text(&what));
	else
		api_problem(a->call->response, 400, "%s is missing: %s", parameter->name, buf_text(&what));
	a->refused = true;
}

/* What is said of a parameter, data NULL: nothing. */
static struct str said_of(const struct asked *a, const struct resource_parameter *parameter, struct str in_path,
			  struct buf *part)
{
	const char *said = parameter->in_path ? NULL : http_argument(a->call->request, parameter->name);

	if (parameter->in_path) {
		http_path_part(in_path, part);
		return str_of(buf_text(part));
	}
	if (!said)
		said = parameter->fallback;
	return said ? str_of(said) : (struct str){ NULL, 0 };
}

static void take_parameters(struct asked *a, const struct resource_match *match)
{
	for (unsigned i = 0; i < a->resource->parameter_count && !a->refused; i++) {
		const struct resource_parameter *parameter = &a->resource->parameters[i];
		CLEANUP(buf_release) struct buf part = BUF_INIT(VALUES_MAX);
		struct str text = said_of(a, parameter, match->values[i], &part);

		a->storage[i] = (struct buf)BUF_INIT(VALUES_MAX);
		if (!text.data && !parameter->required)
			continue;
		if (!text.data || !resource_value(parameter, text, &a->storage[i]) || a->storage[i].overflow)
			refuse_value(a, parameter, text);
		else
			a->values[i] = buf_text(&a->storage[i]);
	}
	a->count = a->resource->parameter_count;
}

/* Nothing lies between an end and a later start: that is a mistake, no empty answer. */
static void check_span(struct asked *a)
{
	const struct resource *q = a->resource;
	const char *from = q->span[0] ? a->values[q->span[0] - 1] : NULL, *to = from ? a->values[q->span[1] - 1] : NULL;

	if (!to || strcmp(from, to) <= 0)
		return;
	api_problem(a->call->response, 400, "%s, %s, is before %s, %s", q->parameters[q->span[1] - 1].name, to,
		    q->parameters[q->span[0] - 1].name, from);
	a->refused = true;
}

static void take_page(struct asked *a)
{
	const char *cursor = http_argument(a->call->request, "cursor"),
		   *limit = http_argument(a->call->request, "limit");

	a->limit = a->resource->limit;
	if (limit && a->resource->limit > 0 && !api_number(limit, a->resource->limit_max, &a->limit)) {
		api_problem(a->call->response, 400, "limit: a number from 1 to %lld",
			    (long long)a->resource->limit_max);
		a->refused = true;
	} else if (cursor && a->resource->cursor_count > 0 &&
		   !resource_cursor_get(a->resource, str_of(cursor), &a->cursor, &a->values[a->count])) {
		api_problem(a->call->response, 400, "cursor: what the page before said as next_cursor");
		a->refused = true;
	}
	a->count += a->resource->cursor_count;
	if (a->resource->limit > 0) /* one more tells whether there is another page */
		a->values[a->count++] = pg_int_text(a->limit + 1, a->limit_text);
}

void asked_page(struct asked *ret, struct api_call *call)
{
	*ret = (struct asked){ .resource = call->match.resource, .call = call, .cursor = BUF_INIT(CURSOR_MAX) };
	http_each_argument(call->request, refuse_unknown, ret);
	if (!ret->refused)
		take_parameters(ret, &call->match);
	if (!ret->refused)
		check_span(ret);
	if (!ret->refused)
		take_page(ret);
}

static void count_said(void *self, const char *name, const char *value)
{
	(void)name;
	(void)value;
	++*(unsigned *)self;
}

void asked_all(struct asked *ret, struct api_call *call, const struct resource *resource)
{
	const struct resource_match match = { .resource = resource };
	unsigned said = 0;

	*ret = (struct asked){ .resource = resource, .call = call, .cursor = BUF_INIT(CURSOR_MAX) };
	http_each_argument(call->request, refuse_unknown_filter, ret);
	http_each_argument(call->request, count_said, &said);
	if (!ret->refused && said == 0) {
		api_problem(call->response, 400, "nothing says which: give filters, as of %s", resource->path);
		ret->refused = true;
	}
	if (!ret->refused)
		take_parameters(ret, &match);
	if (!ret->refused)
		check_span(ret);
	ret->count +=
		resource->cursor_count + (resource->limit > 0 ? 1 : 0); /* null: from the start, and without an end */
}

/* --- the answer ------------------------------------------------------------------------------------------------------------ */

static int column_of(const struct pg_result *r, const char *name)
{
	for (int i = 0; i < pg_columns(r); i++)
		if (strcmp(pg_column(r, i), name) == 0)
			return i;
	return 0;
}

static void put_next(struct json_out *out, const struct resource *q, const struct pg_result *r, int row)
{
	CLEANUP(buf_release) struct buf cursor = BUF_INIT(CURSOR_MAX);
	const char *values[RESOURCE_CURSOR_MAX];

	for (unsigned i = 0; i < q->cursor_count; i++)
		values[i] = pg_text(r, row, column_of(r, q->cursor[i]));
	resource_cursor_put(q, values, &cursor);
	json_put_key(out, "next_cursor");
	json_put_str(out, buf_str(&cursor));
}

static void put_list(const struct asked *a, const struct pg_result *r)
{
	struct json_out out = JSON_OUT(&a->call->response->body);
	int rows = pg_rows(r);
	bool more = a->limit > 0 && rows > a->limit;

	if (more)
		rows = (int)a->limit;
	json_put_open(&out, '{');
	json_put_key(&out, a->resource->list);
	api_put_rows(&out, r, rows);
	if (a->resource->cursor_count > 0 && more) {
		put_next(&out, a->resource, r, rows - 1);
	} else if (a->resource->cursor_count > 0) {
		json_put_key(&out, "next_cursor");
		json_put_null(&out);
	}
	json_put_close(&out, '}');
}

static void put_one(const struct asked *a, const struct pg_result *r)
{
	struct json_out out = JSON_OUT(&a->call->response->body);

	json_put_open(&out, '{');
	api_put_members(&out, r, 0);
	json_put_close(&out, '}');
}

/* "there is no dead letter {id}": with what was asked for. */
static void put_missing(const struct asked *a)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(VALUES_MAX);
	const char *at = a->resource->missing ? a->resource->missing : "there is none";

	while (*at) {
		const char *name = *at == '{' ? at + 1 : NULL;
		size_t len = name ? strcspn(name, "}") : 0;

		for (unsigned i = 0; name && i < a->resource->parameter_count; i++)
			if (strlen(a->resource->parameters[i].name) == len &&
			    strncmp(a->resource->parameters[i].name, name, len) == 0)
				buf_put_text(&text, a->values[i] ? a->values[i] : "");
		if (name)
			at += len + 2;
		else
			buf_put_u8(&text, (uint8_t)*at++);
	}
	api_problem(a->call->response, 404, "%.900s", buf_text(&text));
}

static int run(struct asked *a, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct query_log log;
	int64_t began;

	if (a->resource->stream)
		return api_stream(a->call, a->resource, a->values, a->count, err);
	query_log_begin(&log, a->resource, a->values);
	began = clock_monotonic_ns();
	if (pg_query(a->call->pg, a->resource->sql, a->values, a->count, &r, err)) {
		if (err->kind != ERR_RECORD)
			return err_wrap(err, "resource %s", a->resource->name);
		api_problem(a->call->response, 400, "%s", err->text);
		return 0;
	}
	log.database_ns = clock_monotonic_ns() - began;
	log.records = pg_rows(r);
	query_log_end(&log, config_int(a->call->cfg, "slow_query_ms"));
	if (a->resource->list)
		put_list(a, r);
	else if (pg_rows(r) == 0)
		put_missing(a);
	else
		put_one(a, r);
	return 0;
}

int api_resource(struct api_call *call, struct err *err)
{
	CLEANUP(asked_release) struct asked a;

	asked_page(&a, call);
	return a.refused ? 0 : run(&a, err);
}
