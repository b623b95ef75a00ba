#include "stages/loader/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/dead_letter.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/loader/archive.h"
#include "stages/loader/merge.h"
#include "stages/loader/months.h"
#include "stages/loader/sender.h"

#define BATCH_BYTES ((size_t)32 * 1024 * 1024) /* it is committed at this size */
#define ROWS_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define SCHEMA_PREFIX "ohlcv-" /* of the vendor's schema: what is behind it is the interval */

enum { LETTERS_PUBLISHED = OUTCOMES, LETTERS_WAITING, METRICS };

struct metric loader_metrics[METRICS] = {
#define ROWS(outcome, label) \
	[outcome] = { "penstock_loader_rows_total", "outcome=\"" label "\"", METRIC_COUNTER, \
		      "Records by what became of them.", 0 }
	ROWS(OUTCOME_INSERTED, "inserted"),
	ROWS(OUTCOME_UPDATED, "updated"),
	ROWS(OUTCOME_UNCHANGED, "unchanged"),
	ROWS(OUTCOME_DUPLICATE, "duplicate"),
	ROWS(OUTCOME_SUPERSEDED, "superseded"),
	ROWS(OUTCOME_DEAD_LETTER, "dead_letter"),
#undef ROWS
	[LETTERS_PUBLISHED] = { "penstock_loader_letters_published_total", NULL, METRIC_COUNTER,
				"Dead letters of this loader's and others' that it published.", 0 },
	[LETTERS_WAITING] = { "penstock_loader_letters_waiting", NULL, METRIC_GAUGE,
			      "Dead letters in the database that no loader has published yet.", 0 },
};
const unsigned loader_metric_count = METRICS;

/* A message of the open batch, kept until it is committed: a row may yet be refused. */
struct kept {
	size_t at;
	uint32_t key_len, value_len;
	int32_t partition;
	int64_t offset;
};

struct loader {
	const char *clean_topic, *dlq_topic;
	struct sender *sender;

	struct table *table;
	struct merge *merge;
	struct months *months;
	struct archive *archive;
	struct ledger *arrivals, *ledger;

	struct pg *pg; /* of the batch that is written */
	struct ohlcv_clean record;
	struct buf rows;
	struct buf messages;
	struct kept *kept; /* by sequence, as is the index */
	struct merge_row *index;
	int64_t count, kept_cap;
	int64_t time_min, time_max;
	struct buf scratch;
};

/* --- life ------------------------------------------------------------------------------------------------------------ */

int loader_open(struct loader **ret, struct worker *worker, struct err *err)
{
	CLEANUP(loader_freep) struct loader *loader = mem_zalloc(1, sizeof(*loader));

	loader->rows = (struct buf)BUF_INIT(ROWS_BYTES_MAX);
	loader->messages = (struct buf)BUF_INIT(ROWS_BYTES_MAX);
	loader->scratch = (struct buf)BUF_INIT(ROWS_BYTES_MAX);
	loader->clean_topic = topics_name(worker->topics, "etl.clean.ohlcv");
	loader->dlq_topic = topics_name(worker->topics, "etl.dlq");
	loader->archive = archive_new();
	loader->arrivals = ledger_new();
	loader->ledger = ledger_new();
	loader->months = months_new(ohlcv_table.name);
	if (sender_start(
		    &loader->sender, worker,
		    (struct sender_metrics){ &loader_metrics[LETTERS_PUBLISHED], &loader_metrics[LETTERS_WAITING] },
		    err))
		return -1;
	*ret = STEAL(loader);
	return 0;
}

void loader_freep(struct loader **pointer)
{
	struct loader *loader = *pointer;

	if (!loader)
		return;
	sender_freep(&loader->sender);
	merge_freep(&loader->merge);
	table_freep(&loader->table);
	months_freep(&loader->months);
	archive_freep(&loader->archive);
	ledger_freep(&loader->arrivals);
	ledger_freep(&loader->ledger);
	buf_release(&loader->rows);
	buf_release(&loader->messages);
	buf_release(&loader->scratch);
	free(loader->kept);
	free(loader->index);
	free(loader);
	*pointer = NULL;
}

int loader_close(struct loader *loader, struct err *err)
{
	return sender_stop(loader->sender, err);
}

/* --- consuming ------------------------------------------------------------------------------------------------------- */

static void keep(struct loader *loader, const struct kafka_message *m, size_t row_at, int64_t ordinal)
{
	if (loader->count == loader->kept_cap) {
		loader->kept_cap = loader->kept_cap ? loader->kept_cap * 2 : 1024;
		loader->kept = mem_realloc(loader->kept, (size_t)loader->kept_cap, sizeof(*loader->kept));
		loader->index = mem_realloc(loader->index, (size_t)loader->kept_cap, sizeof(*loader->index));
	}
	loader->kept[loader->count] =
		(struct kept){ loader->messages.len, m->key.len, m->value.len, m->partition, m->offset };
	loader->index[loader->count] =
		(struct merge_row){ row_at, (uint32_t)(loader->rows.len - row_at), m->partition, ordinal };
	buf_put_str(&loader->messages, m->key);
	buf_put_str(&loader->messages, m->value);
}

static void note_time(struct loader *loader, int64_t ts)
{
	if (loader->count == 0 || ts < loader->time_min)
		loader->time_min = ts;
	if (loader->count == 0 || ts > loader->time_max)
		loader->time_max = ts;
	months_note(loader->months, ts);
}

static int take_clean(struct loader *loader, const struct kafka_message *m, struct err *err)
{
	size_t row_at = loader->rows.len;
	struct lineage lineage;

	if (record_decode(&ohlcv_clean_type, &loader->record, m->value, err) ||
	    table_check(loader->table, &loader->record, err))
		return -1;
	if (!record_lineage(m->value, &lineage))
		return err_set(err, ERR_RECORD, "no lineage: attempt and ordinal start at 1");
	note_time(loader, table_time(loader->table, &loader->record));
	table_encode(loader->table, &loader->record, &loader->rows);
	keep(loader, m, row_at, lineage.ordinal);
	loader->count++;
	if (loader->rows.overflow || loader->messages.overflow)
		return err_set(err, ERR_FATAL, "a batch is larger than %zu bytes; lower batch.records_max",
			       ROWS_BYTES_MAX);
	ledger_add(loader->arrivals, lineage.attempt, loader->clean_topic, m->partition, OUTCOME_INSERTED, 1,
		   record_mix(lineage.ordinal));
	return 0;
}

static int handle(void *self, const struct kafka_message *m, struct err *err)
{
	struct loader *loader = self;

	if (strcmp(m->topic, loader->dlq_topic) != 0)
		return take_clean(loader, m, err);
	archive_add(loader->archive, m);
	if (archive_overflow(loader->archive))
		return err_set(err, ERR_FATAL, "a batch of dead letters is too large; lower batch.records_max");
	return 0;
}

static bool full(void *self)
{
	const struct loader *loader = self;

	return loader->rows.len + loader->messages.len + archive_bytes(loader->archive) >= BATCH_BYTES;
}

/* The record's letter, in the transaction that its batch becomes. Decoded: the message stands in loader->record. */
static int refuse(struct loader *loader, const struct kafka_message *m, bool decoded, const char *rules,
		  const char *exception, const char *message, struct err *err)
{
	struct dead_letter letter = DEAD_LETTER_INIT;
	char schema[64];

	dead_letter_describe(&letter, m, decoded ? &ohlcv_clean_type : NULL, &loader->record, &loader->scratch);
	if (decoded) {
		snprintf(schema, sizeof(schema), SCHEMA_PREFIX "%.*s", STR_ARG(loader->record.interval));
		letter.schema = schema;
	}
	letter.class = "load_errors";
	letter.stage = "loader";
	letter.rules = str_of(rules);
	letter.exception = exception;
	letter.message = str_of(message);
	archive_add_own(loader->archive, &letter, m->key, m->value);
	if (archive_overflow(loader->archive))
		return err_set(err, ERR_FATAL, "a batch of dead letters is too large; lower batch.records_max");
	return 0;
}

static int reject(void *self, const struct kafka_message *m, enum stage_refusal refusal, const struct err *why,
		  struct err *err)
{
	struct loader *loader = self;
	struct err ignored = ERR_INIT;

	if (refusal == STAGE_CRASHED)
		return refuse(loader, m, false, "", "StageCrashed", why->text, err);
	if (record_decode(&ohlcv_clean_type, &loader->record, m->value, &ignored))
		return refuse(loader, m, false, "", "RecordNotDecoded", why->text, err);
	return refuse(loader, m, true, "", "RowRefused", why->text, err);
}

/* --- the transaction ------------------------------------------------------------------------------------------------- */

static int opened(void *self, struct pg *pg, struct err *err)
{
	struct loader *loader = self;

	merge_freep(&loader->merge); /* the staging tables went with the session before */
	/*
	 * A batch meets few of a table's rows: compiling a plan over its partitions takes seconds, and a merge join reads
	 * the whole index.
	 */
	if (pg_exec(pg, "SET jit = off; SET enable_mergejoin = off", err))
		return -1;
	if (!loader->table && table_open(&loader->table, pg, &ohlcv_table, err))
		return -1;
	if (table_create_stage(loader->table, pg, err) || archive_create_stage(pg, err))
		return -1;
	loader->merge = merge_new(loader->table);
	return 0;
}

/* A row of the batch that is not to be in the table; the letters may be many, and are staged where they are. */
static int refuse_row(void *self, const struct merge_refusal *refusal, struct err *err)
{
	struct loader *loader = self;
	const struct kept *kept = &loader->kept[refusal->sequence];
	const char *bytes = (const char *)loader->messages.data + kept->at;
	struct kafka_message m = {
		.topic = loader->clean_topic,
		.partition = kept->partition,
		.offset = kept->offset,
		.key = { bytes, kept->key_len },
		.value = { bytes + kept->key_len, kept->value_len },
	};

	if (record_decode(&ohlcv_clean_type, &loader->record, m.value, err))
		return err_set(err, ERR_FATAL, "a row's record cannot be read again");
	if (archive_bytes(loader->archive) >= BATCH_BYTES && archive_stage(loader->archive, loader->pg, err))
		return -1;
	if (refusal->why)
		return refuse(loader, &m, true, "", "RowRefused", refusal->why, err);
	return refuse(loader, &m, true, "KEY_COLLISION", "KEY_COLLISION",
		      "KEY_COLLISION: another record of the same attempt has this key and different values", err);
}

static int write_batch(void *self, struct pg *pg, struct err *err)
{
	struct loader *loader = self;
	const struct merge_batch batch = {
		.rows = &loader->rows,
		.index = loader->index,
		.count = loader->count,
		.time_min = loader->time_min,
		.time_max = loader->time_max,
		.topic = loader->clean_topic,
		.arrivals = loader->arrivals,
	};

	loader->pg = pg;
	if (merge_run(loader->merge, pg, &batch, loader->ledger, refuse_row, loader, err) ||
	    archive_write(loader->archive, pg, loader->dlq_topic, loader->clean_topic, loader->ledger, err))
		return -1;
	return ledger_write(loader->ledger, pg, err);
}

static int prepare(void *self, struct pg *pg, struct err *err)
{
	struct loader *loader = self;

	return months_ensure(loader->months, pg, err);
}

static void forget(void *self, bool committed)
{
	struct loader *loader = self;

	for (unsigned i = 0; committed && i < OUTCOMES; i++)
		metric_add(&loader_metrics[i], ledger_count(loader->ledger, (enum outcome)i));
	if (committed && archive_has_own(loader->archive))
		sender_wake(loader->sender);
	if (!committed)
		months_forget(loader->months); /* one may have been dropped */
	buf_reset(&loader->rows);
	buf_reset(&loader->messages);
	archive_reset(loader->archive);
	ledger_reset(loader->arrivals);
	ledger_reset(loader->ledger);
	loader->count = 0;
}

struct stage_ops loader_stage_ops(struct loader *loader)
{
	return (struct stage_ops){ .self = loader, .handle = handle, .reject = reject, .full = full };
}

struct commit_pg_effects loader_effects(struct loader *loader)
{
	return (struct commit_pg_effects){
		.self = loader,
		.prepare = prepare,
		.write = write_batch,
		.opened = opened,
		.forget = forget,
	};
}
