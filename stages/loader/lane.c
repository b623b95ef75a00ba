#include "stages/loader/lane.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/loader/months.h"
#include "stages/loader/order.h"
#include "stages/loader/sides.h"

#define BYTES_MAX ((size_t)256 * 1024 * 1024)
#define FIRST_ROWS 1024
#define LIMIT_EXCEEDED "53400" /* SQLSTATE: more compressed rows than etl.allow_unpacking() allowed */

/* A message of a batch. */
struct kept {
	size_t at;
	uint32_t key_len, value_len;
};

/* A batch of them. */
struct load {
	void *record;
	struct buf rows, messages;
	struct kept *kept; /* by sequence, as is the index */
	struct merge_row *index;
	int64_t count, capacity;
	int64_t time_min, time_max;
	struct order *order;
	struct ledger *arrivals;
	struct months *months;
};

struct lane {
	const struct table_spec *spec;
	const char *topic;
	struct table *table;
	struct merge *merge;
	struct sides *sides;
	bool crowded; /* the last batch was to touch more compressed rows than a statement may */
	bool beside;  /* rows of the batch that is written go into other tables, too */
	int32_t *part;
	int64_t part_cap;
	struct ledger *part_arrivals;
	struct load loads[2];
	struct load *filling, *writing;

	/* of the write that goes on */
	lane_refused_fn *refused;
	void *refused_self;
};

static void open_load(struct load *load, const struct table_spec *spec)
{
	load->record = mem_zalloc(1, spec->type->size);
	load->rows = load->messages = (struct buf)BUF_INIT(BYTES_MAX);
	load->months = months_new(spec->name);
	load->order = order_new();
	load->arrivals = ledger_new();
}

static void release_load(struct load *load)
{
	months_freep(&load->months);
	order_freep(&load->order);
	ledger_freep(&load->arrivals);
	buf_release(&load->rows);
	buf_release(&load->messages);
	free(load->record);
	free(load->kept);
	free(load->index);
}

static void empty_load(struct load *load)
{
	buf_reset(&load->rows);
	buf_reset(&load->messages);
	order_reset(load->order);
	ledger_reset(load->arrivals);
	load->count = 0;
	months_begin(load->months);
}

struct lane *lane_new(const struct table_spec *spec, const char *topic)
{
	struct lane *lane = mem_zalloc(1, sizeof(*lane));

	lane->spec = spec;
	lane->topic = topic;
	lane->filling = &lane->loads[0];
	lane->writing = &lane->loads[1];
	open_load(lane->filling, spec);
	open_load(lane->writing, spec);
	lane->sides = sides_new(spec);
	lane->part_arrivals = ledger_new();
	return lane;
}

void lane_freep(struct lane **pointer)
{
	struct lane *lane = *pointer;

	if (!lane)
		return;
	merge_freep(&lane->merge);
	table_freep(&lane->table);
	sides_freep(&lane->sides);
	ledger_freep(&lane->part_arrivals);
	free(lane->part);
	release_load(&lane->loads[0]);
	release_load(&lane->loads[1]);
	free(lane);
	*pointer = NULL;
}

int lane_opened(struct lane *lane, struct pg *pg, struct err *err)
{
	merge_freep(&lane->merge); /* the staging tables went with the session before */
	sides_opened(lane->sides);
	if (!lane->table && table_open(&lane->table, pg, lane->spec, err))
		return -1;
	lane->merge = merge_new(lane->table);
	return 0;
}

/* --- consuming ------------------------------------------------------------------------------------------------------- */

static void keep(struct load *load, const struct kafka_message *m, size_t row_at, const struct lineage *lineage)
{
	if (load->count == load->capacity) {
		load->capacity = load->capacity ? load->capacity * 2 : FIRST_ROWS;
		load->kept = mem_realloc(load->kept, (size_t)load->capacity, sizeof(*load->kept));
		load->index = mem_realloc(load->index, (size_t)load->capacity, sizeof(*load->index));
	}
	load->kept[load->count] = (struct kept){ load->messages.len, m->key.len, m->value.len };
	load->index[load->count] = (struct merge_row){
		.at = row_at,
		.len = (uint32_t)(load->rows.len - row_at),
		.partition = m->partition,
		.offset = m->offset,
		.attempt = lineage->attempt,
		.ordinal = lineage->ordinal,
		.as_of = lineage->as_of,
	};
	buf_put_str(&load->messages, m->key);
	buf_put_str(&load->messages, m->value);
}

static void note_time(struct load *load, int64_t ts)
{
	if (load->count == 0 || ts < load->time_min)
		load->time_min = ts;
	if (load->count == 0 || ts > load->time_max)
		load->time_max = ts;
	months_note(load->months, ts);
}

int lane_take(struct lane *lane, const struct kafka_message *m, struct err *err)
{
	struct load *load = lane->filling;
	size_t row_at = load->rows.len;
	struct lineage lineage;

	if (record_decode(lane->spec->type, load->record, m->value, err) || table_check(lane->table, load->record, err))
		return -1;
	if (!record_lineage(m->value, &lineage))
		return err_set(err, ERR_RECORD, "no lineage: attempt and ordinal start at 1");
	note_time(load, table_time(lane->table, load->record));
	table_encode(lane->table, load->record, &load->rows);
	keep(load, m, row_at, &lineage);
	load->count++;
	if (load->rows.overflow || load->messages.overflow)
		return err_set(err, ERR_FATAL, "a batch is larger than %zu bytes; lower batch.records_max", BYTES_MAX);
	order_add(load->order, m->key);
	ledger_add(load->arrivals, lineage.attempt, lane->topic, m->partition, OUTCOME_INSERTED, 1,
		   record_mix(lineage.ordinal), (struct ledger_span){ m->offset, m->offset });
	return 0;
}

size_t lane_bytes(const struct lane *lane)
{
	return lane->filling->rows.len + lane->filling->messages.len;
}

void lane_hand_over(struct lane *lane)
{
	struct load *filled = lane->filling;

	lane->filling = lane->writing;
	lane->writing = filled;
}

const struct record_type *lane_type(const struct lane *lane)
{
	return lane->spec->type;
}

const void *lane_decode(struct lane *lane, enum lane_side side, const struct kafka_message *m)
{
	struct load *load = side == LANE_FILLING ? lane->filling : lane->writing;
	struct err ignored = ERR_INIT;

	return record_decode(lane->spec->type, load->record, m->value, &ignored) ? NULL : load->record;
}

/* --- the transaction ------------------------------------------------------------------------------------------------- */

int lane_prepare(struct lane *lane, struct pg *pg, struct err *err)
{
	const struct load *load = lane->writing;

	lane->beside = false;
	if (load->count > 0 && sides_learn(lane->sides, pg, load->index, load->count, &lane->beside, err))
		return -1;
	if (months_ensure(load->months, pg, err))
		return -1;
	return load->count > 0 ? months_unpack(load->months, pg, lane->crowded, err) : 0;
}

static int refuse_row(void *self, const struct merge_refusal *refusal, struct err *err)
{
	struct lane *lane = self;
	const struct load *load = lane->writing;
	const struct kept *kept = &load->kept[refusal->sequence];
	const struct merge_row *row = &load->index[refusal->sequence];
	const char *bytes = (const char *)load->messages.data + kept->at;
	const struct kafka_message m = {
		.topic = lane->topic,
		.partition = row->partition,
		.offset = row->offset,
		.key = { bytes, kept->key_len },
		.value = { bytes + kept->key_len, kept->value_len },
	};

	return lane->refused(lane->refused_self, lane, &m, refusal, err);
}

/* The rows of the batch that go into one of the tables: a batch of their own. */
static struct merge_batch part_of(struct lane *lane, const struct merge_batch *all, int side)
{
	struct merge_batch part = *all;

	if (all->count > lane->part_cap) {
		lane->part_cap = all->count;
		lane->part = mem_realloc(lane->part, (size_t)lane->part_cap, sizeof(*lane->part));
	}
	ledger_reset(lane->part_arrivals);
	part.order = lane->part;
	part.arrivals = lane->part_arrivals;
	part.count = 0;
	for (int64_t i = 0; i < all->count; i++) {
		const struct merge_row *row = &all->index[all->order[i]];

		if (sides_of(lane->sides, row->attempt) != side)
			continue;
		lane->part[part.count++] = all->order[i];
		ledger_add(lane->part_arrivals, row->attempt, all->topic, row->partition, OUTCOME_INSERTED, 1,
			   record_mix(row->ordinal), (struct ledger_span){ row->offset, row->offset });
	}
	return part;
}

/* The table was dropped while they were on their way. */
static int refuse_part(struct lane *lane, const struct merge_batch *part, int side, struct err *err)
{
	CLEANUP(freep) char *why = mem_printf("table %s is not there any more", sides_table(lane->sides, side));

	for (int64_t i = 0; i < part->count; i++)
		if (refuse_row(lane, &(struct merge_refusal){ part->order[i], why }, err))
			return -1;
	return 0;
}

static int write_parts(struct lane *lane, struct pg *pg, const struct merge_batch *all, struct ledger *ledger,
		       struct err *err)
{
	for (int side = SIDE_NONE; side < sides_count(lane->sides); side++) {
		const struct merge_batch part = part_of(lane, all, side);
		struct merge *merge = side == SIDE_NONE ? lane->merge : sides_merge(lane->sides, side);

		if (part.count == 0)
			continue;
		if (merge ? merge_run(merge, pg, &part, ledger, refuse_row, lane, err)
			  : refuse_part(lane, &part, side, err))
			return -1;
	}
	return 0;
}

/* Bars of months that are materialised are to be refreshed. */
static int note_touched(struct lane *lane, struct pg *pg, const struct load *load, struct err *err)
{
	char from[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX];

	if (load->count == 0 || !lane->spec->rolled_up)
		return 0;
	clock_format(load->time_min, 6, from);
	clock_format(load->time_max, 6, until);
	return pg_query(pg, "SELECT etl.touch($1, $2::timestamptz, $3::timestamptz)",
			PG_PARAMS(lane->spec->name, from, until), NULL, err);
}

int lane_write(struct lane *lane, struct pg *pg, struct ledger *ledger, lane_refused_fn *refused, void *self,
	       struct err *err)
{
	struct load *load = lane->writing;
	const struct merge_batch batch = {
		.rows = &load->rows,
		.index = load->index,
		.total = load->count,
		.order = order_rows(load->order),
		.count = load->count,
		.time_min = load->time_min,
		.time_max = load->time_max,
		.topic = lane->topic,
		.arrivals = load->arrivals,
	};

	lane->refused = refused;
	lane->refused_self = self;
	if ((lane->beside ? write_parts(lane, pg, &batch, ledger, err)
			  : merge_run(lane->merge, pg, &batch, ledger, refuse_row, lane, err)) ||
	    note_touched(lane, pg, load, err)) {
		lane->crowded = lane->crowded || pg_failed_with(pg, LIMIT_EXCEEDED);
		return -1;
	}
	return 0;
}

void lane_written(struct lane *lane)
{
	lane->crowded = false;
	empty_load(lane->writing);
}

/* A month's partition may have been dropped. */
void lane_dropped(struct lane *lane)
{
	for (unsigned i = 0; i < 2; i++) {
		months_forget(lane->loads[i].months);
		empty_load(&lane->loads[i]);
	}
}
