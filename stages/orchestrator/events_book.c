#include <inttypes.h>
#include <jansson.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/json_in.h"
#include "common/log.h"
#include "stages/orchestrator/events.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"

static const char book_sql[] =
	"UPDATE etl.attempts SET"
	" state = CASE WHEN state IN ('done', 'failed', 'abandoned') THEN state ELSE $2 END,"
	" fetched = greatest(fetched, $3), refused = greatest(refused, $4), skipped = greatest(skipped, $5),"
	" input_bytes = greatest(input_bytes, $6), worker = $7,"
	" message = CASE WHEN $8 <> '' THEN $8 ELSE message END, result = coalesce(result, nullif($9, '')::jsonb),"
	" sent_at = coalesce(sent_at, now()), last_event_at = now() WHERE attempt = $1";

/* A result that is no JSON object is none: whoever needs it says so. */
static const char *result_of(const struct task_event *event)
{
	json_error_t where;
	json_t *json;
	bool is_object;

	if (!event->result[0] || event->state == ATTEMPT_RUNNING)
		return "";
	json = json_loads(event->result, JSON_REJECT_DUPLICATES, &where);
	is_object = json_is_object(json);
	if (!is_object)
		log_warning("event_result_unreadable", LOG_FIELDS(log_i64("attempt", event->attempt)),
			    "the result of attempt %" PRId64 " is no JSON object: %s", event->attempt,
			    json ? "another value" : where.text);
	json_decref(json);
	return is_object ? event->result : "";
}

int event_book(struct orchestrator *self, const struct task_event *event, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, book_sql,
		     PG_PARAMS(INT_TEXT(event->attempt), attempt_state_name(event->state), INT_TEXT(event->fetched),
			       INT_TEXT(event->refused), INT_TEXT(event->skipped), INT_TEXT(event->input_bytes),
			       event->worker, event->message, result_of(event)),
		     &r, err))
		return -1;
	if (pg_affected(r) > 0)
		return 0;
	metric_add(&orchestrator_metrics[GAUGE_EVENTS_UNKNOWN], 1);
	log_warning("event_of_unknown_attempt",
		    LOG_FIELDS(log_i64("attempt", event->attempt), log_str("worker", event->worker)),
		    "an event of attempt %" PRId64 ", which is not ours", event->attempt);
	return 0;
}

/* --- notes ----------------------------------------------------------------------------------------------------------- */

bool event_is_note(const struct task_event *event)
{
	return event->state == ATTEMPT_RUNNING && event->result[0];
}

/* A try's time is counted from when it was said: a worker whose last word is old may be gone. */
static const char breaker_sql[] =
	"WITH forgotten AS (DELETE FROM etl.stage_breakers WHERE probe_at < now() - interval '30 days')"
	" INSERT INTO etl.stage_breakers AS b (stage, worker, state, openings, probe_at, reason)"
	" VALUES ($1, $2, $3, ($3 = 'open')::integer, to_timestamp($4::bigint / 1000.0), $5)"
	" ON CONFLICT (stage, worker) DO UPDATE SET state = EXCLUDED.state, probe_at = EXCLUDED.probe_at,"
	"  since = CASE WHEN b.state = EXCLUDED.state THEN b.since ELSE now() END,"
	"  openings = b.openings + (EXCLUDED.state = 'open' AND b.state = 'closed')::integer,"
	"  reason = CASE WHEN EXCLUDED.state = 'open' THEN EXCLUDED.reason ELSE b.reason END";

/* What a stage says of itself (common/stage_trouble.c). */
static int book_breaker(struct orchestrator *self, const struct task_event *event, const json_t *breaker,
			struct err *err)
{
	const char *stage = json_string_value(json_object_get(breaker, "stage"));
	int64_t next_ms = json_integer_value(json_object_get(breaker, "next_ms"));
	bool open = json_is_true(json_object_get(breaker, "open"));

	if (!stage)
		return 0;
	return pg_query(self->pg, breaker_sql,
			PG_PARAMS(stage, event->worker, open ? "open" : "closed",
				  INT_TEXT(event->ts / NS_PER_MS + next_ms), event->message),
			NULL, err);
}

/* Of an attempt that is not ours nothing is kept. */
int event_book_note(struct orchestrator *self, const struct task_event *event, struct err *err)
{
	CLEANUP(json_freep) json_t *note = json_loads(event->result, JSON_REJECT_DUPLICATES, NULL);
	const char *record_type = json_string_value(json_object_get(note, "record_type"));
	const char *rule_set = json_string_value(json_object_get(note, "rule_set"));
	const json_t *breaker = json_object_get(note, "breaker");

	if (breaker)
		return book_breaker(self, event, breaker, err);
	if (!record_type || !rule_set)
		return 0;
	return pg_query(self->pg,
			"WITH a AS (SELECT attempt, run FROM etl.attempts WHERE attempt = $1),"
			" of_run AS (INSERT INTO etl.run_rules (run, record_type, rule_set)"
			"            SELECT run, $2, $3 FROM a ON CONFLICT DO NOTHING)"
			" INSERT INTO etl.attempt_rules (attempt, record_type, rule_set)"
			" SELECT attempt, $2, $3 FROM a ON CONFLICT DO NOTHING",
			PG_PARAMS(INT_TEXT(event->attempt), record_type, rule_set), NULL, err);
}
