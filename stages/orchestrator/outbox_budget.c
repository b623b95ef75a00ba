#include "stages/orchestrator/outbox_budget.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"

#define CALLS_SPARE 4
#define CALLS_COUNTED 1000000 /* of a budget in USD: they are only counted */

void outbox_budgets_release(struct outbox_budgets *budgets)
{
	free(budgets->items);
	*budgets = (struct outbox_budgets){ 0 };
}

int outbox_budgets_read(struct outbox_budgets *ret, struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(
		    pg,
		    "SELECT x.run, x.budget_calls IS NOT NULL, coalesce(x.calls_left, floor(x.usd_left * 1000000000)::bigint)"
		    " FROM etl.runs r JOIN etl.budgets x USING (run) WHERE r.status = 'running' AND r.held = ''",
		    PG_NO_PARAMS, &r, err))
		return -1;
	ret->items = mem_zalloc((size_t)pg_rows(r) + 1, sizeof(*ret->items));
	for (int i = 0; i < pg_rows(r); i++)
		ret->items[ret->count++] = (struct outbox_budget){ pg_int(r, i, 0), pg_bool(r, i, 1), pg_int(r, i, 2) };
	return 0;
}

static struct outbox_budget *find(struct outbox_budgets *budgets, int64_t run)
{
	for (unsigned i = 0; i < budgets->count; i++)
		if (budgets->items[i].run == run)
			return &budgets->items[i];
	return NULL;
}

bool outbox_budgets_take(struct outbox_budgets *budgets, int64_t run, int64_t calls, int64_t cost,
			 int64_t *ret_calls_max)
{
	struct outbox_budget *budget = find(budgets, run);
	int64_t needs = budget && budget->in_calls ? calls : cost, takes = needs;

	*ret_calls_max = 0;
	if (!budget)
		return true;
	if (needs > budget->left) {
		budget->left = -1;
		return false;
	}
	if (budget->in_calls)
		takes = budget->left < calls + CALLS_SPARE ? budget->left : calls + CALLS_SPARE;
	budget->left -= takes;
	*ret_calls_max = budget->in_calls ? takes : CALLS_COUNTED;
	return true;
}
