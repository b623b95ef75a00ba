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

/* What one batch has besides its lanes' rows. */
struct side {
	struct archive *archive;   /* letters: those that came, and those of refused records */
	struct data_topics topics; /* of clean records; each thread's own, as finding one notes it */
	struct buf scratch;
};

struct loader {
	int64_t unpack_rows_max;
	const char *dlq_topic;
	struct sender *sender;
	struct lane *lanes[DATA_TYPES];
	struct side sides[2];  /* by enum lane_side, swapped as the lanes' are */
	struct ledger *ledger; /* of the batch that is written */
	struct pg *pg;         /* likewise */
};

/* --- life ------------------------------------------------------------------------------------------------------------ */

int loader_open(struct loader **ret, struct worker *worker, struct err *err)
{
	CLEANUP(loader_freep) struct loader *loader = mem_zalloc(1, sizeof(*loader));

	loader->unpack_rows_max = config_int(worker->cfg, "unpack_rows_max");
	loader->dlq_topic = topics_name(worker->topics, "etl.dlq");
	for (unsigned i = 0; i < 2; i++) {
		loader->sides[i] = (struct side){ .archive = archive_new(), .scratch = BUF_INIT(SCRATCH_MAX) };
		data_topics_open(&loader->sides[i].topics, worker->topics, DATA_CLEAN);
	}
	for (unsigned id = 0; id < DATA_TYPES; id++)
		loader->lanes[id] = lane_new(&loader_tables[id], loader->sides[0].topics.names[id]);
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
	for (unsigned i = 0; i < 2; i++) {
		archive_freep(&loader->sides[i].archive);
		buf_release(&loader->sides[i].scratch);
	}
	ledger_freep(&loader->ledger);
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
	return loader->lanes[data_topics_find(&loader->sides[LANE_FILLING].topics, m->topic)];
}

static int handle(void *self, const struct kafka_message *m, struct err *err)
{
	struct loader *loader = self;
	struct archive *archive = loader->sides[LANE_FILLING].archive;

	if (strcmp(m->topic, loader->dlq_topic) != 0)
		return lane_take(lane_of(loader, m), m, err);
	archive_add(archive, m);
	if (archive_overflow(archive))
		return err_set(err, ERR_FATAL, "a batch of dead letters is too large; lower batch.records_max");
	return 0;
}

static bool full(void *self)
{
	const struct loader *loader = self;
	size_t bytes = archive_bytes(loader->sides[LANE_FILLING].archive);

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
	const char *rules;
	const char *exception; /* NULL: by whether the record decodes */
	const char *message;
	bool unread; /* nobody is to look into the record */
};

static const struct refusal collision = {
	"KEY_COLLISION",
	"KEY_COLLISION",
	"KEY_COLLISION: another record of the same attempt has this key and different values",
	false,
};

/* The record's letter, in the transaction that its batch becomes. */
static int refuse(struct loader *loader, enum lane_side side, struct lane *lane, const struct kafka_message *m,
		  const struct refusal *refusal, struct err *err)
{
	const struct record_type *type = lane_type(lane);
	const void *record = refusal->unread ? NULL : lane_decode(lane, side, m);
	struct side *own = &loader->sides[side];
	struct dead_letter letter = DEAD_LETTER_INIT;
	char schema[SCHEMA_MAX];

	dead_letter_describe(&letter, m, record ? type : NULL, record, &own->scratch);
	if (record)
		letter.schema = schema_of(type, record, schema);
	if (!letter.schema || !letter.schema[0])
		letter.schema = data_types[data_topics_find(&own->topics, m->topic)].name;
	letter.class = "load_errors";
	letter.stage = "loader";
	letter.rules = str_of(refusal->rules);
	letter.exception = refusal->exception ? refusal->exception : record ? "RowRefused" : "RecordNotDecoded";
	letter.message = str_of(refusal->message);
	archive_add_own(own->archive, &letter, m->key, m->value);
	if (archive_overflow(own->archive))
		return err_set(err, ERR_FATAL, "a batch of dead letters is too large; lower batch.records_max");
	return 0;
}

static int reject(void *self, const struct kafka_message *m, enum stage_refusal refusal, const struct err *why,
		  struct err *err)
{
	struct loader *loader = self;
	bool crashed = refusal == STAGE_CRASHED;

	return refuse(loader, LANE_FILLING, lane_of(loader, m), m,
		      &(struct refusal){ "", crashed ? "StageCrashed" : NULL, why->text, crashed }, err);
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
	if (pg_query(pg, "SELECT etl.allow_unpacking($1)", PG_PARAMS(INT_TEXT(loader->unpack_rows_max)), NULL, err))
		return -1;
	return archive_create_stage(pg, err);
}

/* A row of the batch that is not to be in the table; the letters may be many, and are staged where they are. */
static int refuse_row(void *self, struct lane *lane, const struct kafka_message *m, const struct merge_refusal *refusal,
		      struct err *err)
{
	struct loader *loader = self;
	struct archive *archive = loader->sides[LANE_WRITING].archive;
	const struct refusal by_database = { "", "RowRefused", refusal->why, false };

	if (archive_bytes(archive) >= BATCH_BYTES && archive_stage(archive, loader->pg, err))
		return -1;
	return refuse(loader, LANE_WRITING, lane, m, refusal->why ? &by_database : &collision, err);
}

static int write_batch(void *self, struct pg *pg, struct err *err)
{
	struct loader *loader = self;
	struct side *side = &loader->sides[LANE_WRITING];

	loader->pg = pg;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (lane_write(loader->lanes[id], pg, loader->ledger, refuse_row, loader, err))
			return -1;
	if (archive_write(side->archive, pg, loader->dlq_topic, &side->topics, loader->ledger, err))
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

static void hand_over(void *self)
{
	struct loader *loader = self;
	struct side filled = loader->sides[LANE_FILLING];

	loader->sides[LANE_FILLING] = loader->sides[LANE_WRITING];
	loader->sides[LANE_WRITING] = filled;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		lane_hand_over(loader->lanes[id]);
}

static void written(void *self)
{
	struct loader *loader = self;
	struct archive *archive = loader->sides[LANE_WRITING].archive;

	for (unsigned i = 0; i < OUTCOMES; i++)
		metric_add(&loader_metrics[i], ledger_count(loader->ledger, (enum outcome)i));
	if (archive_has_own(archive))
		sender_wake(loader->sender);
	for (unsigned id = 0; id < DATA_TYPES; id++)
		lane_written(loader->lanes[id]);
	archive_reset(archive);
	ledger_reset(loader->ledger);
}

static void dropped(void *self)
{
	struct loader *loader = self;

	for (unsigned id = 0; id < DATA_TYPES; id++)
		lane_dropped(loader->lanes[id]);
	archive_reset(loader->sides[LANE_FILLING].archive);
	archive_reset(loader->sides[LANE_WRITING].archive);
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
		.hand_over = hand_over,
		.written = written,
		.dropped = dropped,
	};
}
