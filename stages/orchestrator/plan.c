#include "stages/orchestrator/plan.h"

#include <jansson.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "stages/orchestrator/plan_internal.h"
#include "stages/orchestrator/sources.h"

#define NAMES_MAX 1000 /* bytes of a list in a message */

void plan_release(struct plan *plan)
{
	buf_release(&plan->tasks);
}

/* --- tasks of a subscription ------------------------------------------------------------------------------------------- */

void plan_put(struct json_out *out, const char *key, const char *text)
{
	if (!text[0])
		return;
	json_put_key(out, key);
	json_put_str(out, str_of(text));
}

void plan_open_task(struct planner *p, const char *action)
{
	json_put_open(&p->out, '{');
	plan_put(&p->out, "subscription", p->subscription->name);
	plan_put(&p->out, "source", p->subscription->source);
	plan_put(&p->out, "action", action);
	json_put_key(&p->out, "parameters");
	json_put_open(&p->out, '{');
	if (!p->subscription->symbol_mappings)
		return;
	json_put_key(&p->out, "symbol_mappings");
	json_put_bool(&p->out, true);
}

void plan_close_task(struct planner *p)
{
	json_put_close(&p->out, '}');
	json_put_close(&p->out, '}');
	p->plan->count++;
}

static int add_subscription(struct planner *p, const struct subscription *s, struct err *err)
{
	CLEANUP(buf_release) struct buf names = BUF_INIT(NAMES_MAX);

	p->subscription = s;
	if (s->how)
		return s->how->plan(p, err);
	source_names(&names);
	return err_set(err, ERR_RECORD,
		       "%s:%u: subscription %s: source '%s' is not one of those that this version has: %s",
		       p->list->file, s->line, s->name, s->source, buf_text(&names));
}

/* --- which subscriptions ----------------------------------------------------------------------------------------------- */

/* Naming one twice is asking for it once. */
static bool named_before(const json_t *names, size_t index, const char *name)
{
	for (size_t i = 0; i < index; i++)
		if (json_is_string(json_array_get(names, i)) &&
		    strcmp(json_string_value(json_array_get(names, i)), name) == 0)
			return true;
	return false;
}

static int add_named(struct planner *p, const json_t *names, struct err *err)
{
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		const struct subscription *s = name ? subscriptions_find(p->list, name) : NULL;

		if (!s)
			return err_set(err, ERR_RECORD, "%s: no subscription %s", p->list->file, name ? name : "");
		if (!named_before(names, i, name) && add_subscription(p, s, err))
			return -1;
	}
	return 0;
}

static int add_all(struct planner *p, struct err *err)
{
	for (unsigned i = 0; i < p->list->count; i++)
		if (add_subscription(p, &p->list->items[i], err))
			return -1;
	return 0;
}

int plan_make(struct plan *plan, const struct config *cfg, const char *kind, const char *options, struct err *err)
{
	CLEANUP(subscriptions_release) struct subscriptions list = SUBSCRIPTIONS_INIT;
	CLEANUP(json_freep) json_t *chosen = json_loads(options, 0, NULL);
	struct planner p = {
		.plan = plan,
		.out = JSON_OUT(&plan->tasks),
		.list = &list,
		.tasks_max = config_int(cfg, "tasks_max"),
		.now_ns = clock_now_ns(),
	};
	const json_t *names = json_object_get(chosen, "subscriptions");

	if (strcmp(kind, "full") != 0)
		return err_set(err, ERR_RECORD,
			       "runs of kind %s are not in this version; kinds full, replay and backfill are", kind);
	if (subscriptions_read(&list, config_text(cfg, "subscriptions"), err))
		return -1;
	json_put_open(&p.out, '[');
	if (names ? add_named(&p, names, err) : add_all(&p, err))
		return -1;
	json_put_close(&p.out, ']');
	if (plan->tasks.overflow)
		return err_set(err, ERR_RECORD, "the plan is larger than %d bytes; run fewer subscriptions at once",
			       PLAN_BYTES_MAX);
	if (plan->count == 0)
		return err_set(err, ERR_RECORD, "%s: no subscription, so there is nothing to do", list.file);
	return 0;
}

int plan_store(struct plan *plan, struct pg *pg, int64_t run, struct err *err)
{
	char id[PG_INT_MAX];

	if (pg_query(pg,
		     "INSERT INTO etl.tasks (run, subscription, source, action, parameters)"
		     " SELECT $1, e.x->>'subscription', e.x->>'source', e.x->>'action', e.x->'parameters'"
		     " FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS e (x, n) ORDER BY e.n",
		     PG_PARAMS(pg_int_text(run, id), buf_text(&plan->tasks)), NULL, err))
		return err_wrap(err, "storing the plan");
	return 0;
}
