#include <string.h>
#include <sys/random.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/record.h"
#include "stages/orchestrator/breakers.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/outbox.h"
#include "stages/orchestrator/outbox_budget.h"

/* Outstanding attempts of each slot. */
static int count_slots(struct orchestrator *self, const char *source, int32_t load[SLOTS_MAX], struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	memset(load, 0, SLOTS_MAX * sizeof(*load));
	if (pg_query(self->pg,
		     "SELECT slot, count(*) FROM etl.attempts WHERE source = $1 AND closed_at IS NULL"
		     " AND state IN ('sending', 'sent', 'running') GROUP BY slot",
		     PG_PARAMS(source), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		if (pg_int(r, i, 0) >= 0 && pg_int(r, i, 0) < SLOTS_MAX)
			load[pg_int(r, i, 0)] = (int32_t)pg_int(r, i, 1);
	return 0;
}

/*
 * The last slot is no backfill's, so that what is scheduled, or asked for by hand, never waits behind one; where there is
 * one slot only, it does.
 */
static int32_t slots_of(bool backfill, int32_t slots)
{
	return backfill && slots > 1 ? slots - 1 : slots;
}

static int64_t room_of(const int32_t *load, int32_t slots, int64_t per_slot)
{
	int64_t room = 0;

	for (int32_t s = 0; s < slots; s++)
		room += load[s] < per_slot ? per_slot - load[s] : 0;
	return room < OUTBOX_MAX ? room : OUTBOX_MAX;
}

static int32_t least_loaded(const int32_t *load, int32_t slots)
{
	int32_t best = 0;

	for (int32_t s = 1; s < slots; s++)
		if (load[s] < load[best])
			best = s;
	return best;
}

/* Milliseconds and random bits: never a sequence, so that accounts of two databases cannot meet either. */
static int64_t new_attempt(void)
{
	uint64_t bits = 0;

	while (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		;
	return (clock_now_ns() / 1000000) << ATTEMPT_RANDOM_BITS | (int64_t)(bits & ((1 << ATTEMPT_RANDOM_BITS) - 1));
}

/* A task that no message can be made of fails by itself; the others go on. */
static int refuse_task(struct orchestrator *self, int64_t task, const struct err *why, struct err *err)
{
	log_error("task_refused", LOG_FIELDS(log_i64("task", task)), "%s", why->text);
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg, "UPDATE etl.tasks SET state = 'failed', message = $2 WHERE task = $1",
		     PG_PARAMS(INT_TEXT(task), why->text), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

static int add_task(struct outbox *outbox, struct orchestrator *self, const struct pg_result *r, int row, int32_t slot,
		    int64_t calls_max, struct err *err)
{
	struct sending *item = &outbox->items[outbox->count];
	struct task_columns columns = {
		.attempt = new_attempt(),
		.task = pg_int(r, row, 0),
		.run = pg_int(r, row, 1),
		.subscription = pg_text(r, row, 2),
		.source = pg_text(r, row, 3),
		.parameters = pg_text(r, row, 4),
		.calls_max = calls_max,
	};
	struct err why = ERR_INIT;

	*item = (struct sending){
		.attempt = columns.attempt,
		.task = columns.task,
		.slot = slot,
		.calls_max = calls_max,
		.message = BUF_INIT(MESSAGE_BYTES_MAX),
	};
	outbox->count++;
	if (task_message(&columns, &item->message, &why) == 0)
		return 0;
	outbox->count--;
	buf_release(&item->message);
	return refuse_task(self, columns.task, &why, err);
}

static int64_t sum(const int32_t *load, int32_t slots)
{
	int64_t all = 0;

	for (int32_t s = 0; s < slots; s++)
		all += load[s];
	return all;
}

/* Of each run the first that wait, so that one that waits with many is no burden to the others; backfills come last. */
/* clang-format off */
static const char waiting_sql[] =
	"SELECT t.task, t.run, t.subscription, t.source, " TASK_PARAMETERS_SQL ", w.backfill, coalesce(t.calls, 1),"
	" coalesce(ceil(t.cost_usd * 1000000000), 0)::bigint"
	" FROM (SELECT x.task, r.kind = 'backfill' AS backfill FROM etl.runs r CROSS JOIN LATERAL ("
	"         SELECT t.task FROM etl.tasks t WHERE t.run = r.run AND t.state = 'pending' AND t.source = $1"
	"         AND " BREAKERS_LET_PASS_SQL " ORDER BY t.task LIMIT $2) x"
	"       WHERE r.status = 'running' AND r.held = '' ORDER BY r.kind = 'backfill', x.task LIMIT $2) w"
	" JOIN etl.tasks t USING (task) ORDER BY w.backfill, t.task";
/* clang-format on */
enum { BACKFILL = 5, CALLS, COST };

/* What is being chosen from. */
struct choice {
	struct pg_result *waiting;
	struct outbox_budgets budgets;
	int32_t *load; /* by slot */
	int32_t slots;
	int64_t per_slot;
};

static void choice_release(struct choice *c)
{
	pg_result_freep(&c->waiting);
	outbox_budgets_release(&c->budgets);
}

/* -1: there is no room for it now. */
static int32_t slot_for(const struct choice *c, bool backfill)
{
	int32_t slot = least_loaded(c->load, slots_of(backfill, c->slots));

	return c->load[slot] < c->per_slot ? slot : -1;
}

static int choose_one(struct outbox *outbox, struct orchestrator *self, struct choice *c, int row, struct err *err)
{
	int32_t slot = slot_for(c, pg_bool(c->waiting, row, BACKFILL));
	int64_t calls_max;

	if (slot < 0 || !outbox_budgets_take(&c->budgets, pg_int(c->waiting, row, 1), pg_int(c->waiting, row, CALLS),
					     pg_int(c->waiting, row, COST), &calls_max))
		return 0;
	c->load[slot]++;
	return add_task(outbox, self, c->waiting, row, slot, calls_max, err);
}

int outbox_choose(struct outbox *outbox, struct orchestrator *self, const char *source, int32_t slots,
		  struct slot_window *window, bool *ret_busy, struct err *err)
{
	int32_t load[SLOTS_MAX];
	CLEANUP(choice_release) struct choice c = { .load = load, .slots = slots };
	int64_t room;

	if (count_slots(self, source, load, err))
		return -1;
	c.per_slot = slot_window_look(window, sum(load, slots), slots, config_int(self->cfg, "tasks_per_slot"),
				      clock_monotonic_ns());
	room = room_of(load, slots, c.per_slot);
	if (room == 0)
		return 0;
	if (pg_query(self->pg, waiting_sql, PG_PARAMS(source, INT_TEXT(room)), &c.waiting, err))
		return -1;
	if (pg_rows(c.waiting) > 0 && outbox_budgets_read(&c.budgets, self->pg, err))
		return -1;
	for (int i = 0; i < pg_rows(c.waiting); i++)
		if (choose_one(outbox, self, &c, i, err))
			return -1;
	slot_window_sent(window, outbox->count);
	*ret_busy = *ret_busy || outbox->count == OUTBOX_MAX;
	return 0;
}
