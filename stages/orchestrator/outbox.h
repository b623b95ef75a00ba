#pragma once
/*
 * Attempts on their way into the slots of one source's topic, and what the
 * database says of them. Nothing here produces: dispatch.c does.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

#include "stages/orchestrator/slot_window.h"

struct orchestrator;

#define OUTBOX_MAX 256                  /* attempts sent in one transaction */
#define SLOTS_MAX 1024                  /* partitions of one source's topic */
#define MESSAGE_BYTES_MAX (1024 * 1024) /* of one task's message */

/* An attempt on its way into a slot. */
struct sending {
	int64_t attempt;
	int64_t task;
	int32_t slot;
	int64_t calls_max;   /* of the vendor; 0: as many as it takes */
	int64_t slot_offset; /* stands at this offset or behind it */
	bool found;          /* already in its slot */
	struct buf message;
};

struct outbox {
	struct sending items[OUTBOX_MAX];
	unsigned count;
};

/* Empties it; its buffers are freed. */
void outbox_clear(struct outbox *outbox);

/* Puts pending tasks into it, as new attempts, as many as the slots have room for; *ret_busy where there may be more. */
int outbox_choose(struct outbox *outbox, struct orchestrator *self, const char *source, int32_t slots,
		  struct slot_window *window, bool *ret_busy, struct err *err);

/* Notes the ends of the slots: what is sent from here on stands there or behind. Asks the broker. */
int outbox_bound(struct outbox *outbox, struct orchestrator *self, const char *topic, struct err *err);

/* Commits the attempts as 'sending'; ERR_RETRY where a task is not pending any more. */
int outbox_record(const struct outbox *outbox, struct orchestrator *self, const char *source, struct err *err);

/* They are produced: commits them as 'sent'. */
int outbox_mark(const struct outbox *outbox, struct orchestrator *self, struct err *err);

/* Puts attempts into it that are 'sending': whether they were produced is unknown. */
int outbox_load(struct outbox *outbox, struct orchestrator *self, const char *source, struct err *err);

/* Marks those that stand in `topic` as found. */
int reconcile_slots(struct orchestrator *self, const char *topic, struct outbox *outbox, struct err *err);

/* Tasks of one source that somebody skipped become pending again; the outbox is for its own use. */
int skipped_find(struct orchestrator *self, const char *topic, const char *source, struct outbox *outbox,
		 struct err *err);

/*
 * The message of a task in its columns attempt, task, run, subscription, source, parameters. A window has the rest of
 * its parameters in its quote's row: hundreds of windows of 2,000 symbols would be hundreds of lists. What is put back is
 * read from the letters when it is sent, likewise, and which letter a task is that died and is done again; what a range is
 * of, and what is left out of it, from the run.
 */
#define TASK_PARAMETERS_SQL \
	"coalesce((SELECT q.parameters FROM etl.tasks q WHERE q.task = t.quote), '{}') || t.parameters" \
	" || CASE WHEN t.source <> 'kafka' THEN coalesce((SELECT jsonb_build_object('letter'," \
	" jsonb_build_array(p.replays, p.first_letter)) FROM etl.letters_put_back p WHERE p.task = coalesce(t.quote, t.task)" \
	" AND p.ordinal = 0 AND p.first_letter IS NOT NULL), '{}') WHEN t.parameters ? 'partition' THEN (" RANGE_PARAMETERS_SQL \
	") ELSE (SELECT jsonb_build_object('messages', jsonb_agg(jsonb_build_array(" \
	"translate(encode(p.key, 'base64'), E'\n', ''), translate(encode(p.value, 'base64'), E'\n', ''), p.replays," \
	" p.first_letter) ORDER BY p.ordinal)) FROM etl.letters_put_back p WHERE p.task = t.task)" \
	" END"
#define RANGE_PARAMETERS_SQL \
	"SELECT jsonb_build_object('symbols', coalesce(o.options->'symbols', '[]'), 'replays'," \
	" (SELECT coalesce(jsonb_agg(v.attempt), '[]') FROM etl.topic_replays v WHERE v.run <> o.run" \
	" AND t.parameters->>'stage' = ANY (v.stages) AND v.record_type = t.parameters->>'record_type'" \
	" AND NOT coalesce((o.options->>'replays')::boolean, false)))" \
	" FROM etl.runs o WHERE o.run = t.run"
struct task_columns {
	int64_t attempt, task, run;
	const char *subscription, *source, *parameters;
	int64_t calls_max; /* 0: as many as it takes */
};
int task_message(const struct task_columns *columns, struct buf *out, struct err *err);
