#include "stages/orchestrator/outbox.h"

#include <inttypes.h>

#include "common/cleanup.h"
#include "stages/orchestrator/events.h"
#include "stages/orchestrator/orchestrator.h"

#define ARRAY_BYTES_MAX (64 * 1024)

void outbox_clear(struct outbox *outbox)
{
	for (unsigned i = 0; i < outbox->count; i++)
		buf_release(&outbox->items[i].message);
	outbox->count = 0;
}

/* Our producer is the only one: what it sends from here on stands at the slot's end or behind it. */
int outbox_bound(struct outbox *outbox, struct orchestrator *self, const char *topic, struct err *err)
{
	for (unsigned i = 0; i < outbox->count; i++) {
		struct sending *item = &outbox->items[i];
		int64_t low;
		unsigned k = 0;

		while (outbox->items[k].slot != item->slot)
			k++;
		if (k < i)
			item->slot_offset = outbox->items[k].slot_offset;
		else if (kafka_watermarks(events_consumer(self->events), topic, item->slot, &low, &item->slot_offset,
					  err))
			return -1;
	}
	return 0;
}

static int record_one(struct orchestrator *self, const char *source, const struct sending *item, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, "UPDATE etl.tasks SET state = 'dispatched' WHERE task = $1 AND state = 'pending'",
		     PG_PARAMS(INT_TEXT(item->task)), &r, err))
		return -1;
	if (pg_affected(r) != 1)
		return err_set(err, ERR_RETRY, "task %" PRId64 " is not pending any more", item->task);
	return pg_query(
		self->pg,
		"INSERT INTO etl.attempts (attempt, task, run, source, slot, slot_offset, calls_max, keys_kept)"
		" SELECT $1, task, run, $3, $4, $5, nullif($6, '0')::bigint, quote IS NOT NULL AND etl.fetched_before(task)"
		" FROM etl.tasks WHERE task = $2",
		PG_PARAMS(INT_TEXT(item->attempt), INT_TEXT(item->task), source, INT_TEXT(item->slot),
			  INT_TEXT(item->slot_offset), INT_TEXT(item->calls_max)),
		NULL, err);
}

int outbox_record(const struct outbox *outbox, struct orchestrator *self, const char *source, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err))
		return -1;
	for (unsigned i = 0; i < outbox->count; i++)
		if (record_one(self, source, &outbox->items[i], err))
			return -1;
	return pg_commit(self->pg, err);
}

static void put_array(struct buf *out, const struct outbox *outbox, bool offsets)
{
	buf_put_u8(out, '{');
	for (unsigned i = 0; i < outbox->count; i++)
		buf_printf(out, "%s%" PRId64, i ? "," : "",
			   offsets ? outbox->items[i].slot_offset : outbox->items[i].attempt);
	buf_put_u8(out, '}');
}

/* An event may have been faster: then the attempt runs already, and only its place is new. */
int outbox_mark(const struct outbox *outbox, struct orchestrator *self, struct err *err)
{
	CLEANUP(buf_release) struct buf attempts = BUF_INIT(ARRAY_BYTES_MAX);
	CLEANUP(buf_release) struct buf offsets = BUF_INIT(ARRAY_BYTES_MAX);

	put_array(&attempts, outbox, false);
	put_array(&offsets, outbox, true);
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.attempts a SET slot_offset = x.slot_offset, sent_at = coalesce(a.sent_at, now()),"
		     " state = CASE a.state WHEN 'sending' THEN 'sent' ELSE a.state END"
		     " FROM unnest($1::bigint[], $2::bigint[]) AS x (attempt, slot_offset)"
		     " WHERE a.attempt = x.attempt",
		     PG_PARAMS(buf_text(&attempts), buf_text(&offsets)), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

int outbox_load(struct outbox *outbox, struct orchestrator *self, const char *source, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg,
		     "SELECT a.attempt, t.task, t.run, t.subscription, t.source, " TASK_PARAMETERS_SQL ", a.slot,"
		     " coalesce(a.slot_offset, 0), a.calls_max FROM etl.attempts a JOIN etl.tasks t USING (task)"
		     " WHERE a.source = $1 AND a.state = 'sending' AND a.closed_at IS NULL ORDER BY a.attempt LIMIT $2",
		     PG_PARAMS(source, INT_TEXT(OUTBOX_MAX)), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++) {
		struct sending *item = &outbox->items[outbox->count++];
		struct task_columns columns = {
			.attempt = pg_int(r, i, 0),
			.task = pg_int(r, i, 1),
			.run = pg_int(r, i, 2),
			.subscription = pg_text(r, i, 3),
			.source = pg_text(r, i, 4),
			.parameters = pg_text(r, i, 5),
			.calls_max = pg_int(r, i, 8),
		};

		*item = (struct sending){ .attempt = columns.attempt,
					  .task = columns.task,
					  .slot = (int32_t)pg_int(r, i, 6),
					  .slot_offset = pg_int(r, i, 7),
					  .message = BUF_INIT(MESSAGE_BYTES_MAX) };
		if (task_message(&columns, &item->message, err))
			return err_wrap(err, "attempt %" PRId64, columns.attempt);
	}
	return 0;
}
