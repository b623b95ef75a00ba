#include <string.h>
#include <sys/random.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/record.h"
#include "stages/orchestrator/breakers.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/outbox.h"

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

static int64_t room_of(const int32_t *load, int32_t slots, int64_t per_slot)
{
	int64_t room = 0;

	for (int32_t s = 0; s < slots; s++)
		room += load[s] < per_slot ? per_slot - load[s] : 0;
	return room < OUTBOX_MAX ? room : OUTBOX_MAX;
}

static int32_t take_least_loaded(int32_t *load, int32_t slots)
{
	int32_t best = 0;

	for (int32_t s = 1; s < slots; s++)
		if (load[s] < load[best])
			best = s;
	load[best]++;
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
		    struct err *err)
{
	struct sending *item = &outbox->items[outbox->count];
	struct task_columns columns = {
		.attempt = new_attempt(),
		.task = pg_int(r, row, 0),
		.run = pg_int(r, row, 1),
		.subscription = pg_text(r, row, 2),
		.source = pg_text(r, row, 3),
		.parameters = pg_text(r, row, 4),
	};
	struct err why = ERR_INIT;

	*item = (struct sending){
		.attempt = columns.attempt, .task = columns.task, .slot = slot, .message = BUF_INIT(MESSAGE_BYTES_MAX)
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

int outbox_choose(struct outbox *outbox, struct orchestrator *self, const char *source, int32_t slots,
		  struct slot_window *window, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int32_t load[SLOTS_MAX];
	int64_t room;

	if (count_slots(self, source, load, err))
		return -1;
	room = room_of(load, slots,
		       slot_window_look(window, sum(load, slots), slots, config_int(self->cfg, "tasks_per_slot"),
					clock_monotonic_ns()));
	if (room == 0)
		return 0;
	if (pg_query(self->pg,
		     "SELECT t.task, t.run, t.subscription, t.source, " TASK_PARAMETERS_SQL
		     " FROM etl.tasks t JOIN etl.runs r"
		     " USING (run) WHERE t.state = 'pending' AND r.status = 'running' AND t.source = $1"
		     " AND " BREAKERS_LET_PASS_SQL " ORDER BY t.task LIMIT $2",
		     PG_PARAMS(source, INT_TEXT(room)), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		if (add_task(outbox, self, r, i, take_least_loaded(load, slots), err))
			return -1;
	slot_window_sent(window, outbox->count);
	*ret_busy = *ret_busy || pg_rows(r) == OUTBOX_MAX;
	return 0;
}
