#include <inttypes.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "stages/orchestrator/outbox.h"
#include "stages/orchestrator/orchestrator.h"

/*
 * Outstanding attempts that may stand in front of where a slot was moved to.
 * What is recorded of an attempt's place is a bound below it.
 */
static const char suspects_sql[] =
	"SELECT a.attempt, a.task, a.slot, max(x.to_offset), min(x.who), min(x.why)"
	" FROM etl.expired x JOIN etl.attempts a ON a.slot = x.partition AND a.created_at < x.booked_at"
	" AND coalesce(a.slot_offset, 0) < x.to_offset"
	" WHERE x.topic = $1 AND a.source = $2 AND a.closed_at IS NULL AND a.state IN ('sent', 'running')"
	" GROUP BY 1, 2, 3 ORDER BY 1 LIMIT $3";

/* No fetcher meets it again: as if one had given it up. */
static int abandon(struct orchestrator *self, const struct sending *item, const char *who, const char *why,
		   struct err *err)
{
	if (pg_query(self->pg,
		     "UPDATE etl.attempts SET state = 'abandoned', message = format('its task was skipped by %s: %s',"
		     " $2::text, $3::text) WHERE attempt = $1 AND state IN ('sent', 'running')",
		     PG_PARAMS(INT_TEXT(item->attempt), who, why), NULL, err))
		return -1;
	log_warning("attempt_skipped", LOG_FIELDS(log_i64("attempt", item->attempt), log_i64("slot", item->slot)),
		    "the task of attempt %" PRId64 " was skipped by %s: %s", item->attempt, who, why);
	return 0;
}

static int settle(struct orchestrator *self, const struct outbox *outbox, const struct pg_result *r, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err))
		return -1;
	for (unsigned i = 0; i < outbox->count; i++) {
		const struct sending *item = &outbox->items[i];

		if (item->found ? pg_query(self->pg, "UPDATE etl.attempts SET slot_offset = $2 WHERE attempt = $1",
					   PG_PARAMS(INT_TEXT(item->attempt), INT_TEXT(item->slot_offset)), NULL, err)
				: abandon(self, item, pg_text(r, (int)i, 4), pg_text(r, (int)i, 5), err))
			return -1;
	}
	return pg_commit(self->pg, err);
}

int skipped_find(struct orchestrator *self, const char *topic, const char *source, struct outbox *outbox,
		 struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	outbox_clear(outbox);
	if (pg_query(self->pg, suspects_sql, PG_PARAMS(topic, source, INT_TEXT(OUTBOX_MAX)), &r, err))
		return err_wrap(err, "looking for skipped tasks");
	for (int row = 0; row < pg_rows(r); row++)
		outbox->items[outbox->count++] = (struct sending){ .attempt = pg_int(r, row, 0),
								   .task = pg_int(r, row, 1),
								   .slot = (int32_t)pg_int(r, row, 2),
								   .slot_offset = pg_int(r, row, 3) };
	if (outbox->count == 0)
		return 0;
	if (reconcile_slots(self, topic, outbox, err))
		return orchestrator_kafka_trouble(self, err);
	return settle(self, outbox, r, err);
}
