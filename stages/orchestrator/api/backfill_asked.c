#include "stages/orchestrator/api/backfill_asked.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "stages/orchestrator/backfill_missing.h"
#include "stages/orchestrator/plan_internal.h"
#include "stages/orchestrator/quotes.h"
#include "stages/orchestrator/sources.h"

#define SYMBOLS_MAX 1000000
#define NAME_MAX_BYTES 128
#define WHY_MAX 500
#define ALL_SYMBOLS "ALL_SYMBOLS"

void asking_release(struct asking *a)
{
	json_decref(a->body);
	json_decref(a->symbols);
	free(a->symbols_text);
	free(a->request);
	subscriptions_release(&a->list);
}

/* --- the body ---------------------------------------------------------------------------------------------------------- */

bool body_is_text(const json_t *value, size_t max)
{
	return json_is_string(value) && json_string_length(value) >= 1 && json_string_length(value) <= max;
}

static bool is_name(const json_t *value)
{
	return body_is_text(value, NAME_MAX_BYTES);
}

bool body_is_why(const json_t *value)
{
	return json_is_string(value) && json_string_length(value) <= WHY_MAX;
}

static bool is_symbols(const json_t *value)
{
	size_t n = json_array_size(value);

	for (size_t i = 0; i < n; i++)
		if (!body_is_text(json_array_get(value, i), NAME_MAX_BYTES))
			return false;
	return json_is_array(value) && n >= 1 && n <= SYMBOLS_MAX;
}

static bool is_day(const json_t *value)
{
	int64_t ns;

	return body_is_text(value, 10) && clock_parse(str_of(json_string_value(value)), &ns) && ns >= 0 &&
	       ns % NS_PER_DAY == 0;
}

static bool is_reprocess(const json_t *value)
{
	for (unsigned i = 0; json_is_string(value) && backfill_reprocess[i]; i++)
		if (strcmp(backfill_reprocess[i], json_string_value(value)) == 0)
			return true;
	return false;
}

static bool is_switch(const json_t *value)
{
	return json_is_boolean(value);
}

static bool is_calls(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 1;
}

static bool is_usd(const json_t *value)
{
	int64_t cost;

	return json_is_string(value) && quote_cost(str_of(json_string_value(value)), &cost) && cost > 0;
}

static const struct body_member asked_members[] = {
	{ "subscription", "a subscription's name", is_name, true },
	{ "symbols", "a list of 1 to 1000000 symbols of 128 bytes", is_symbols, false },
	{ "from", "a day such as 2024-01-31", is_day, false },
	{ "to", "a day such as 2024-01-31", is_day, false },
	{ "reprocess", "missing, failed or all", is_reprocess, false },
	{ "newest_first", "true or false", is_switch, false },
	{ "budget_calls", "a number of calls, 1 at least", is_calls, false },
	{ "budget_usd", "an amount of USD above 0 as a text (\"2.50\")", is_usd, false },
	{ "why", WHY_TAKES, body_is_why, false },
	{ 0 },
};

static const struct body_member *find_member(const struct body_member *members, const char *key)
{
	while (members->key && strcmp(members->key, key) != 0)
		members++;
	return members->key ? members : NULL;
}

bool body_check(struct api_call *call, json_t *body, const struct body_member *members)
{
	const char *key;
	json_t *value;

	if (!json_is_object(body))
		return api_problem(call->response, 400, "the body must be a JSON object"), false;
	json_object_foreach(body, key, value)
	{
		const struct body_member *m = find_member(members, key);

		if (!m)
			return api_problem(call->response, 400, "unknown key '%.100s'", key), false;
		if (!m->check(value))
			return api_problem(call->response, 400, "%s: %s", key, m->takes), false;
	}
	for (; members->key; members++)
		if (members->required && !json_object_get(body, members->key))
			return api_problem(call->response, 400, "%s is missing: %s", members->key, members->takes),
			       false;
	return true;
}

static const char *text_of(const struct asking *a, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(a->body, key));

	return text ? text : fallback;
}

/* --- what is meant ------------------------------------------------------------------------------------------------------ */

static bool find_subscription(struct asking *a)
{
	const char *name = text_of(a, "subscription", "");
	struct err err = ERR_INIT;

	if (subscriptions_read(&a->list, config_text(a->call->cfg, "subscriptions"), &err))
		return api_problem(a->call->response, 500, "%s", err.text), false;
	a->subscription = subscriptions_find(&a->list, name);
	if (!a->subscription)
		return api_problem(a->call->response, 404, "there is no subscription '%.128s' in %s", name,
				   a->list.file),
		       false;
	if (a->subscription->how && a->subscription->how->plan == plan_quote)
		return true;
	api_problem(
		a->call->response, 400,
		"subscription '%.128s': source %s sells nothing by days, so there is nothing to plan; `penstock run "
		"full` reads its files",
		name, a->subscription->source);
	return false;
}

static bool has_symbol(const struct vendor_request *v, const char *symbol)
{
	for (unsigned i = 0; i < v->symbol_count; i++)
		if (strcmp(v->symbols[i], symbol) == 0 || strcmp(v->symbols[i], ALL_SYMBOLS) == 0)
			return true;
	return false;
}

static bool take_symbols(struct asking *a)
{
	const struct vendor_request *v = &a->subscription->vendor;
	json_t *asked = json_object_get(a->body, "symbols");

	a->symbols = asked ? json_incref(asked) : json_array();
	for (size_t i = 0; asked && i < json_array_size(asked); i++) {
		const char *symbol = json_string_value(json_array_get(asked, i));

		if (!has_symbol(v, symbol))
			return api_problem(a->call->response, 404,
					   "subscription '%.128s' has no symbol '%.128s'; what it has stands in %s",
					   a->subscription->name, symbol, a->list.file),
			       false;
	}
	for (unsigned i = 0; !asked && i < v->symbol_count; i++)
		json_array_append_new(a->symbols, json_string(v->symbols[i]));
	a->symbols_text = json_dumps(a->symbols, JSON_COMPACT);
	return true;
}

static int32_t day_of(const struct asking *a, const char *key)
{
	int64_t ns = 0;

	clock_parse(str_of(text_of(a, key, "")), &ns);
	return clock_day_of(ns);
}

/* Both days are included, as they are written; today as far as it has come. */
static bool take_days(struct asking *a)
{
	const struct vendor_request *v = &a->subscription->vendor;
	int32_t today = clock_day_of(a->now_ns);
	int64_t end = v->has_end && v->end < a->now_ns ? v->end : a->now_ns;
	char text[CLOCK_TEXT_MAX];

	a->from = json_object_get(a->body, "from") ? day_of(a, "from") : clock_day_of(v->start);
	a->to = json_object_get(a->body, "to") ? day_of(a, "to") + 1 : clock_day_of(end - 1) + 1;
	clock_format_date(today, text);
	if (a->from > today || a->to - 1 > today)
		return api_problem(a->call->response, 400, "%s is in the future: today is %s (UTC)",
				   a->from > today ? "from" : "to", text),
		       false;
	if (a->from < a->to)
		return true;
	clock_format_date(a->to - 1, text);
	return api_problem(a->call->response, 400, "from is behind to, which is %s", text), false;
}

static bool take_budget(struct asking *a)
{
	a->reprocess = text_of(a, "reprocess", backfill_reprocess[0]);
	a->budget_usd = text_of(a, "budget_usd", "");
	a->budget_calls = json_integer_value(json_object_get(a->body, "budget_calls"));
	if (!a->budget_usd[0] || a->budget_calls == 0)
		return true;
	return api_problem(a->call->response, 400, "a budget is of calls or of USD, not of both"), false;
}

bool asking_read(struct asking *a)
{
	struct str text = a->call->request->body;

	a->body = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	a->now_ns = clock_now_ns();
	if (!body_check(a->call, a->body, asked_members) || !find_subscription(a) || !take_symbols(a) ||
	    !take_days(a) || !take_budget(a))
		return false;
	a->request = mem_printf("%s %s %s", a->subscription->dataset, a->subscription->schema,
				a->subscription->vendor.stype_in);
	return true;
}
