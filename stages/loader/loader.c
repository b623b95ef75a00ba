#include "stages/loader/loader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/dead_letter.h"
#include "common/log.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/loader/archive.h"
#include "stages/loader/merge.h"
#include "stages/loader/months.h"

#define BATCH_BYTES ((size_t)32 * 1024 * 1024) /* it is committed at this size */
#define ROWS_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define FLUSH_TIMEOUT_MS 30000

struct metric loader_metrics[OUTCOMES] = {
#define ROWS(outcome, label) \
	[outcome] = { "penstock_loader_rows_total", "outcome=\"" label "\"", METRIC_COUNTER, \
		      "Records by what became of them.", 0 }
	ROWS(OUTCOME_INSERTED, "inserted"),     ROWS(OUTCOME_UPDATED, "updated"),
	ROWS(OUTCOME_UNCHANGED, "unchanged"),   ROWS(OUTCOME_DUPLICATE, "duplicate"),
	ROWS(OUTCOME_SUPERSEDED, "superseded"), ROWS(OUTCOME_DEAD_LETTER, "dead_letter"),
#undef ROWS
};
const unsigned loader_metric_count = OUTCOMES;

/* A message of the open batch, kept until it is committed: a row may yet be refused. */
struct kept {
	size_t at;
	uint32_t key_len, value_len;
	int32_t partition;
	int64_t offset;
};

struct loader {
	const char *clean_topic, *dlq_topic;
	struct kafka_producer *producer; /* of dead letters */
	struct kafka_topic *dlq;
	bool letters_open; /* produced, not yet acknowledged */

	struct table *table;
	struct merge *merge;
	struct months *months;
	struct archive *archive;
	struct ledger *arrivals, *ledger;

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
	if (kafka_producer_new(&loader->producer, worker->cfg, NULL, err) ||
	    kafka_producer_topic(loader->producer, loader->dlq_topic, &loader->dlq, err))
		return -1;
	*ret = STEAL(loader);
	return 0;
}

void loader_freep(struct loader **pointer)
{
	struct loader *loader = *pointer;

	if (!loader)
		return;
	kafka_producer_freep(&loader->producer);
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

static int publish(struct loader *loader, const struct kafka_message *m, const struct record_type *type,
		   const void *record, const char *exception, const char *message, struct err *err)
{
	struct dead_letter letter = DEAD_LETTER_INIT;

	dead_letter_describe(&letter, m, type, record, &loader->scratch);
	letter.class = "load_errors";
	letter.stage = "loader";
	letter.exception = exception;
	letter.message = str_of(message);
	loader->letters_open = true;
	return dead_letter_produce(loader->producer, loader->dlq, &letter, m->key, m->value, err);
}

static int reject(void *self, const struct kafka_message *m, enum stage_refusal refusal, const struct err *why,
		  struct err *err)
{
	return publish(self, m, NULL, NULL, refusal == STAGE_CRASHED ? "StageCrashed" : "RecordNotDecoded", why->text,
		       err);
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

/* Rows of one attempt that say two things about one key: the later one is refused. */
static int refuse_collision(void *self, int32_t sequence, struct err *err)
{
	struct loader *loader = self;
	const struct kept *kept = &loader->kept[sequence];
	const char *bytes = (const char *)loader->messages.data + kept->at;
	struct kafka_message m = {
		.topic = loader->clean_topic,
		.partition = kept->partition,
		.offset = kept->offset,
		.key = { bytes, kept->key_len },
		.value = { bytes + kept->key_len, kept->value_len },
	};

	if (record_decode(&ohlcv_clean_type, &loader->record, m.value, err))
		return -1;
	return publish(loader, &m, &ohlcv_clean_type, &loader->record, "KEY_COLLISION",
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

	if (merge_run(loader->merge, pg, &batch, loader->ledger, refuse_collision, loader, err) ||
	    archive_write(loader->archive, pg, loader->dlq_topic, loader->ledger, err))
		return -1;
	/* Letters are on the broker before the rows count as handled; one published twice is archived once. */
	if (loader->letters_open && kafka_flush(loader->producer, FLUSH_TIMEOUT_MS, err))
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
	if (!committed)
		months_forget(loader->months); /* one may have been dropped */
	buf_reset(&loader->rows);
	buf_reset(&loader->messages);
	archive_reset(loader->archive);
	ledger_reset(loader->arrivals);
	ledger_reset(loader->ledger);
	loader->count = 0;
	loader->letters_open = false;
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
