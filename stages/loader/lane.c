#include "stages/loader/lane.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "stages/loader/months.h"
#include "stages/loader/order.h"

#define BYTES_MAX ((size_t)256 * 1024 * 1024)
#define FIRST_ROWS 1024

/* A message of the open batch. */
struct kept {
	size_t at;
	uint32_t key_len, value_len;
	int32_t partition;
	int64_t offset;
};

struct lane {
	const struct table_spec *spec;
	const char *topic;
	struct table *table;
	struct merge *merge;
	struct months *months;
	void *record;
	struct buf rows, messages;
	struct kept *kept; /* by sequence, as is the index */
	struct merge_row *index;
	int64_t count, capacity;
	int64_t time_min, time_max;
	struct order *order;
	struct ledger *arrivals;

	/* of the write that goes on */
	lane_refused_fn *refused;
	void *refused_self;
};

struct lane *lane_new(const struct table_spec *spec, const char *topic)
{
	struct lane *lane = mem_zalloc(1, sizeof(*lane));

	lane->spec = spec;
	lane->topic = topic;
	lane->record = mem_zalloc(1, spec->type->size);
	lane->rows = lane->messages = (struct buf)BUF_INIT(BYTES_MAX);
	lane->months = months_new(spec->name);
	lane->order = order_new();
	lane->arrivals = ledger_new();
	return lane;
}

void lane_freep(struct lane **pointer)
{
	struct lane *lane = *pointer;

	if (!lane)
		return;
	merge_freep(&lane->merge);
	table_freep(&lane->table);
	months_freep(&lane->months);
	order_freep(&lane->order);
	ledger_freep(&lane->arrivals);
	buf_release(&lane->rows);
	buf_release(&lane->messages);
	free(lane->record);
	free(lane->kept);
	free(lane->index);
	free(lane);
	*pointer = NULL;
}

int lane_opened(struct lane *lane, struct pg *pg, struct err *err)
{
	merge_freep(&lane->merge); /* the staging tables went with the session before */
	if (!lane->table && table_open(&lane->table, pg, lane->spec, err))
		return -1;
	lane->merge = merge_new(lane->table);
	return 0;
}

/* --- consuming ------------------------------------------------------------------------------------------------------- */

static void keep(struct lane *lane, const struct kafka_message *m, size_t row_at, int64_t ordinal)
{
	if (lane->count == lane->capacity) {
		lane->capacity = lane->capacity ? lane->capacity * 2 : FIRST_ROWS;
		lane->kept = mem_realloc(lane->kept, (size_t)lane->capacity, sizeof(*lane->kept));
		lane->index = mem_realloc(lane->index, (size_t)lane->capacity, sizeof(*lane->index));
	}
	lane->kept[lane->count] =
		(struct kept){ lane->messages.len, m->key.len, m->value.len, m->partition, m->offset };
	lane->index[lane->count] =
		(struct merge_row){ row_at, (uint32_t)(lane->rows.len - row_at), m->partition, ordinal };
	buf_put_str(&lane->messages, m->key);
	buf_put_str(&lane->messages, m->value);
}

static void note_time(struct lane *lane, int64_t ts)
{
	if (lane->count == 0 || ts < lane->time_min)
		lane->time_min = ts;
	if (lane->count == 0 || ts > lane->time_max)
		lane->time_max = ts;
	months_note(lane->months, ts);
}

int lane_take(struct lane *lane, const struct kafka_message *m, struct err *err)
{
	size_t row_at = lane->rows.len;
	struct lineage lineage;

	if (record_decode(lane->spec->type, lane->record, m->value, err) || table_check(lane->table, lane->record, err))
		return -1;
	if (!record_lineage(m->value, &lineage))
		return err_set(err, ERR_RECORD, "no lineage: attempt and ordinal start at 1");
	note_time(lane, table_time(lane->table, lane->record));
	table_encode(lane->table, lane->record, &lane->rows);
	keep(lane, m, row_at, lineage.ordinal);
	lane->count++;
	if (lane->rows.overflow || lane->messages.overflow)
		return err_set(err, ERR_FATAL, "a batch is larger than %zu bytes; lower batch.records_max", BYTES_MAX);
	order_add(lane->order, m->key);
	ledger_add(lane->arrivals, lineage.attempt, lane->topic, m->partition, OUTCOME_INSERTED, 1,
		   record_mix(lineage.ordinal), (struct ledger_span){ m->offset, m->offset });
	return 0;
}

size_t lane_bytes(const struct lane *lane)
{
	return lane->rows.len + lane->messages.len;
}

const struct record_type *lane_type(const struct lane *lane)
{
	return lane->spec->type;
}

const void *lane_decode(struct lane *lane, const struct kafka_message *m)
{
	struct err ignored = ERR_INIT;

	return record_decode(lane->spec->type, lane->record, m->value, &ignored) ? NULL : lane->record;
}

/* --- the transaction ------------------------------------------------------------------------------------------------- */

int lane_prepare(struct lane *lane, struct pg *pg, struct err *err)
{
	return months_ensure(lane->months, pg, err);
}

static int refuse_row(void *self, const struct merge_refusal *refusal, struct err *err)
{
	struct lane *lane = self;
	const struct kept *kept = &lane->kept[refusal->sequence];
	const char *bytes = (const char *)lane->messages.data + kept->at;
	const struct kafka_message m = {
		.topic = lane->topic,
		.partition = kept->partition,
		.offset = kept->offset,
		.key = { bytes, kept->key_len },
		.value = { bytes + kept->key_len, kept->value_len },
	};

	return lane->refused(lane->refused_self, lane, &m, refusal, err);
}

int lane_write(struct lane *lane, struct pg *pg, struct ledger *ledger, lane_refused_fn *refused, void *self,
	       struct err *err)
{
	const struct merge_batch batch = {
		.rows = &lane->rows,
		.index = lane->index,
		.order = order_rows(lane->order),
		.count = lane->count,
		.time_min = lane->time_min,
		.time_max = lane->time_max,
		.topic = lane->topic,
		.arrivals = lane->arrivals,
	};

	lane->refused = refused;
	lane->refused_self = self;
	return merge_run(lane->merge, pg, &batch, ledger, refuse_row, lane, err);
}

void lane_forget(struct lane *lane, bool committed)
{
	if (!committed)
		months_forget(lane->months); /* one may have been dropped */
	buf_reset(&lane->rows);
	buf_reset(&lane->messages);
	order_reset(lane->order);
	ledger_reset(lane->arrivals);
	lane->count = 0;
}
