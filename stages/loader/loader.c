#include "stages/loader/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/data_types.h"
#include "common/dead_letter.h"
#include "common/mem.h"
#include "stages/loader/archive.h"
#include "stages/loader/lane.h"
#include "stages/loader/sender.h"
#include "stages/loader/tables.h"

#define BATCH_BYTES ((size_t)32 * 1024 * 1024) /* it is committed at this size */
#define SCRATCH_MAX ((size_t)256 * 1024 * 1024)
#define SCHEMA_MAX 64
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

struct loader {
	struct data_topics topics; /* of clean records */
	const char *dlq_topic;
	struct sender *sender;
	struct lane *lanes[DATA_TYPES];
	struct archive *archive;
	struct ledger *ledger;
	struct pg *pg; /* of the batch that is written */
	struct buf scratch;
};

/* --- life ------------------------------------------------------------------------------------------------------------ */

int loader_open(struct loader **ret, struct worker *worker, struct err *err)
{
	CLEANUP(loader_freep) struct loader *loader = mem_zalloc(1, sizeof(*loader));

	loader->scratch = (struct buf)BUF_INIT(SCRATCH_MAX);
	data_topics_open(&loader->topics, worker->topics, DATA_CLEAN);
	for (unsigned id = 0; id < DATA_TYPES; id++)
		loader->lanes[id] = lane_new(&loader_tables[id], loader->topics.names[id]);
	loader->dlq_topic = topics_name(worker->topics, "etl.dlq");
	loader->archive = archive_new();
	loader->ledger = ledger_new();
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
	for (unsigned id = 0; id < DATA_TYPES; id++)
		lane_freep(&loader->lanes[id]);
	archive_freep(&loader->archive);
	ledger_freep(&loader->ledger);
	buf_release(&loader->scratch);
	free(loader);
	*pointer = NULL;
}

int loader_close(struct loader *loader, struct err *err)
{
	return sender_stop(loader->sender, err);
}

/* --- consuming ------------------------------------------------------------------------------------------------------- */

static struct lane *lane_of(struct loader *loader, const struct kafka_message *m)
{
	return loader->lanes[data_topics_find(&loader->topics, m->topic)];
}

static int handle(void *self, const struct kafka_message *m, struct err *err)
{
	struct loader *loader = self;

	if (strcmp(m->topic, loader->dlq_topic) != 0)
		return lane_take(lane_of(loader, m), m, err);
	archive_add(loader->archive, m);
	if (archive_overflow(loader->archive))
		return err_set(err, ERR_FATAL, "a batch of dead letters is too large; lower batch.records_max");
	return 0;
}

static bool full(void *self)
{
	const struct loader *loader = self;
	size_t bytes = archive_bytes(loader->archive);

	for (unsigned id = 0; id < DATA_TYPES; id++)
		bytes += lane_bytes(loader->lanes[id]);
	return bytes >= BATCH_BYTES;
}

/* The vendor's name: a clean bar has its interval instead. */
static const char *schema_of(const struct record_type *type, const void *record, char text[SCHEMA_MAX])
{
	const struct record_field *interval = record_field_find(type, STR_LIT("interval"));

	if (!interval)
		return NULL;
	snprintf(text, SCHEMA_MAX, SCHEMA_PREFIX "%.*s", STR_ARG(record_string(record, interval)));
	return text;
}

struct refusal {
	const char *rules, *exception, *message;
};

static const struct refusal collision = {
	"KEY_COLLISION",
	"KEY_COLLISION",
	"KEY_COLLISION: another record of the same attempt has this key and different values",
};

/* The record's letter, in the transaction that its batch becomes. */
static int refuse(struct loader *loader, struct lane *lane, const struct kafka_message *m, const void *record,
		  const struct refusal *refusal, struct err *err)
{
	const struct record_type *type = lane_type(lane);
	struct dead_letter letter = DEAD_LETTER_INIT;
	char schema[SCHEMA_MAX];

	dead_letter_describe(&letter, m, record ? type : NULL, record, &loader->scratch);
	if (record)
		letter.schema = schema_of(type, record, schema);
	if (!letter.schema || !letter.schema[0])
		letter.schema = data_types[data_topics_find(&loader->topics, m->topic)].name;
	letter.class = "load_errors";
	letter.stage = "loader";
	letter.rules = str_of(refusal->rules);
	letter.exception = refusal->exception;
	letter.message = str_of(refusal->message);
	archive_add_own(loader->archive, &letter, m->key, m->value);
	if (archive_overflow(loader->archive))
		return err_set(err, ERR_FATAL, "a batch of dead letters is too large; lower batch.records_max");
	return 0;
}

static int reject(void *self, const struct kafka_message *m, enum stage_refusal refusal, const struct err *why,
		  struct err *err)
{
	struct loader *loader = self;
	struct lane *lane = lane_of(loader, m);
	const void *record = refusal == STAGE_CRASHED ? NULL : lane_decode(lane, m);
	const char *exception = refusal == STAGE_CRASHED ? "StageCrashed" : record ? "RowRefused" : "RecordNotDecoded";

	return refuse(loader, lane, m, record, &(struct refusal){ "", exception, why->text }, err);
}

/* --- the transaction ------------------------------------------------------------------------------------------------- */

static int opened(void *self, struct pg *pg, struct err *err)
{
	struct loader *loader = self;

	/*
	 * A batch meets few of a table's rows: compiling a plan over its partitions takes seconds, and a merge join reads
	 * the whole index.
	 */
	if (pg_exec(pg, "SET jit = off; SET enable_mergejoin = off", err))
		return -1;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (lane_opened(loader->lanes[id], pg, err))
			return -1;
	return archive_create_stage(pg, err);
}

/* A row of the batch that is not to be in the table; the letters may be many, and are staged where they are. */
static int refuse_row(void *self, struct lane *lane, const struct kafka_message *m, const struct merge_refusal *refusal,
		      struct err *err)
{
	struct loader *loader = self;
	const void *record = lane_decode(lane, m);

	if (!record)
		return err_set(err, ERR_FATAL, "a row's record cannot be read again");
	if (archive_bytes(loader->archive) >= BATCH_BYTES && archive_stage(loader->archive, loader->pg, err))
		return -1;
	if (refusal->why)
		return refuse(loader, lane, m, record, &(struct refusal){ "", "RowRefused", refusal->why }, err);
	return refuse(loader, lane, m, record, &collision, err);
}

static int write_batch(void *self, struct pg *pg, struct err *err)
{
	struct loader *loader = self;

	loader->pg = pg;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (lane_write(loader->lanes[id], pg, loader->ledger, refuse_row, loader, err))
			return -1;
	if (archive_write(loader->archive, pg, loader->dlq_topic, &loader->topics, loader->ledger, err))
		return -1;
	return ledger_write(loader->ledger, pg, err);
}

static int prepare(void *self, struct pg *pg, struct err *err)
{
	struct loader *loader = self;

	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (lane_prepare(loader->lanes[id], pg, err))
			return -1;
	return 0;
}

static void forget(void *self, bool committed)
{
	struct loader *loader = self;

	for (unsigned i = 0; committed && i < OUTCOMES; i++)
		metric_add(&loader_metrics[i], ledger_count(loader->ledger, (enum outcome)i));
	if (committed && archive_has_own(loader->archive))
		sender_wake(loader->sender);
	for (unsigned id = 0; id < DATA_TYPES; id++)
		lane_forget(loader->lanes[id], committed);
	archive_reset(loader->archive);
	ledger_reset(loader->ledger);
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
