#pragma once
/* The inside of plan.h: what each source plans of a subscription. */
#include "common/json_out.h"
#include "stages/orchestrator/plan.h"
#include "stages/orchestrator/subscriptions.h"

struct planner {
	struct plan *plan;
	struct json_out out;
	const struct subscriptions *list;
	const struct subscription *subscription; /* that is being planned */
	int64_t tasks_max;
	int64_t now_ns;
	bool looks; /* a quote only reads what the vendor says of days: nothing is planned by it */
};

int plan_files(struct planner *p, struct err *err);
int plan_quote(struct planner *p, struct err *err);

/* A task of the subscription; its parameters are put between the two. */
void plan_open_task(struct planner *p, const char *action);
void plan_close_task(struct planner *p);

/* A member, but for an empty text. */
void plan_put(struct json_out *out, const char *key, const char *text);

/* What the fetcher is told with a quote's window: {"action":"quote","from":…,"to":…}, both days included; looks: no price. */
void plan_quote_parameters(int64_t start, int64_t end, bool looks, struct buf *out);

/* And with a window. */
const char *plan_fetch_parameters(bool batch);
