#include "stages/loader/merge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/loader/known.h"
#include "stages/loader/merge_sql.h"
#include "stages/loader/refusals.h"
#include "stages/loader/rounds.h"
#include "stages/loader/withdrawn.h"

#define ARRAY_TEXT_MAX (16 * 1024 * 1024)
#define UNIQUE_VIOLATION "23505"
#define CHUNK_BYTES 65536 /* of rows that are handed to a COPY at once */
#define ROW_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct merge {
	const struct table *table;
	struct buf sql[MERGE_STATEMENTS];
	struct buf chunk; /* of the rows of a COPY */
	struct rounds *rounds;
	struct known *known;
	struct withdrawn *withdrawn;
	int32_t *standing; /* of a batch, without what was withdrawn */
	int64_t standing_cap;
	int32_t *rest; /* of a batch, without what is there already */
	int64_t rest_cap;
	int32_t *sequences;
	int64_t sequence_cap;
	struct refusals refused;
	bool expect_known; /* the batch before met rows that are there already: do not try the short way first */
};

static const char *statement(struct merge *m, enum merge_statement which)
{
	return buf_text(&m->sql[which]);
}

struct merge *merge_new(const struct table *table)
{
	struct merge *m = mem_zalloc(1, sizeof(*m));

	m->table = table;
	m->chunk = (struct buf)BUF_INIT(CHUNK_BYTES + ROW_BYTES_MAX);
	m->rounds = rounds_new();
	merge_sql_write(m->sql, table);
	m->known = known_new(table, statement(m, MERGE_FETCH));
	m->withdrawn = withdrawn_new(table);
	return m;
}

void merge_freep(struct merge **pointer)
{
	struct merge *m = *pointer;

	if (!m)
		return;
	merge_sql_release(m->sql);
	buf_release(&m->chunk);
	rounds_freep(&m->rounds);
	known_freep(&m->known);
	withdrawn_freep(&m->withdrawn);
	free(m->standing);
	free(m->rest);
	refusals_release(&m->refused);
	free(m->sequences);
	free(m);
	*pointer = NULL;
}

/* --- rows for a COPY ------------------------------------------------------------------------------------------------- */

/* Rows of a batch on their way into the table, or, with rounds, into the staging table. */
struct copying {
	const struct merge_batch *batch;
	const int32_t *sequences;
	int64_t count, done;
	const struct table *table;
	const struct rounds *rounds;
	struct buf *chunk;
};

static void put_row(struct copying *copying, int32_t sequence)
{
	struct str row = merge_row_bytes(copying->batch, sequence);
	const struct merge_row *known = &copying->batch->index[sequence];

	if (copying->rounds)
		table_encode_stage(copying->table, row,
				   &(struct staged){ sequence, known->partition, known->ordinal,
						     rounds_of(copying->rounds, sequence) },
				   copying->chunk);
	else
		buf_put_str(copying->chunk, row);
}

static struct str next_rows(void *self)
{
	struct copying *copying = self;

	buf_reset(copying->chunk);
	while (copying->done < copying->count && copying->chunk->len < CHUNK_BYTES)
		put_row(copying, copying->sequences[copying->done++]);
	return buf_str(copying->chunk);
}

static int copy_rows(struct merge *m, struct pg *pg, enum merge_statement which, struct copying *copying,
		     struct err *err)
{
	int64_t copied = 0;

	copying->table = m->table;
	copying->chunk = &m->chunk;
	if (pg_copy_rows(pg, statement(m, which), &(struct pg_rows){ next_rows, copying }, &copied, err))
		return -1;
	if (copied != copying->count)
		return err_set(err, ERR_FATAL, "%" PRId64 " of %" PRId64 " rows copied", copied, copying->count);
	return 0;
}

/* --- the short way: every key is new --------------------------------------------------------------------------------- */

static int try_all_new(struct merge *m, struct pg *pg, const struct merge_batch *batch, bool *ret_done, struct err *err)
{
	struct copying copying = { .batch = batch, .sequences = batch->order, .count = batch->count };

	*ret_done = false;
	if (pg_exec(pg, "SAVEPOINT all_new", err))
		return -1;
	if (copy_rows(m, pg, MERGE_COPY_ALL, &copying, err)) {
		if (err->kind != ERR_RECORD)
			return -1;
		err_clear(err);
		return pg_exec(pg, "ROLLBACK TO SAVEPOINT all_new", err);
	}
	*ret_done = true;
	return 0;
}

/* --- the long way: some keys are there already ----------------------------------------------------------------------- */

/* A batch on its way; its functions write rows of it, see struct row_writer. */
struct work {
	struct merge *m;
	struct pg *pg;
	const struct merge_batch *batch;
	const char *const *params; /* of the round's statements; the fourth is the part's */
};

static int32_t *room_for_sequences(struct merge *m, int64_t count)
{
	if (count > m->sequence_cap) {
		m->sequence_cap = count;
		m->sequences = mem_realloc(m->sequences, (size_t)count, sizeof(*m->sequences));
	}
	return m->sequences;
}

/* One statement that must touch exactly so many rows; none: it is left out. */
static int change(struct work *work, enum merge_statement which, const char *const *params, unsigned param_count,
		  int64_t rows, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (rows == 0)
		return 0;
	if (pg_query(work->pg, statement(work->m, which), params, param_count, &r, err))
		return -1;
	if (pg_affected(r) != rows)
		return err_set(err, ERR_RETRY, "rows changed meanwhile: %" PRId64 " of %" PRId64 " written",
			       pg_affected(r), rows);
	return 0;
}

/* Parts are copied, which is quicker than to look their rows up. */
static int insert_rows(void *self, const int32_t *sequences, int64_t count, struct err *err)
{
	struct work *work = self;

	if (!sequences)
		return change(work, MERGE_INSERT, work->params, 1, count, err);
	return copy_rows(work->m, work->pg, MERGE_COPY_ALL,
			 &(struct copying){ .batch = work->batch, .sequences = sequences, .count = count }, err);
}

/*
 * Keys were sorted out before: where one is there now, somebody else wrote it
 * meanwhile, and that is not the row's fault. Another index's veto is.
 */
static int judge_insert(void *self, int32_t sequence, struct err *err)
{
	struct work *work = self;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (!pg_failed_with(work->pg, UNIQUE_VIOLATION))
		return 0;
	if (pg_query(work->pg, statement(work->m, MERGE_KNOWN),
		     PG_PARAMS(INT_TEXT(sequence), work->params[1], work->params[2]), &r, err))
		return -1;
	return pg_rows(r) ? err_set(err, ERR_RETRY, "a key was written by somebody else meanwhile") : 0;
}

static void put_array(struct buf *text, const int32_t *sequences, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		buf_printf(text, "%s%d", i ? "," : "{", sequences[i]);
	buf_put_u8(text, '}');
}

static int update_found(struct work *work, const char *const params[4], int64_t count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *scope = NULL;

	if (pg_query(work->pg, statement(work->m, MERGE_SCOPE), params, 1, &scope, err))
		return -1;
	if (!pg_bool(scope, 0, 3))
		return change(work, MERGE_UPDATE, params, 4, count, err);
	return change(work, MERGE_UPDATE_PACKED,
		      (const char *const[]){ params[0], pg_text(scope, 0, 0), pg_text(scope, 0, 1), params[3],
					     pg_text(scope, 0, 2) },
		      5, count, err);
}

static int update_rows(void *self, const int32_t *sequences, int64_t count, struct err *err)
{
	struct work *work = self;
	CLEANUP(buf_release) struct buf array = BUF_INIT(ARRAY_TEXT_MAX);
	const char *params[4] = { work->params[0], work->params[1], work->params[2], NULL };

	if (sequences) {
		put_array(&array, sequences, count);
		params[3] = buf_text(&array);
	}
	if (change(work, MERGE_JOURNAL, params, 4, count, err))
		return -1;
	return update_found(work, params, count, err);
}

static int note_refused(struct work *work, unsigned from, struct err *err)
{
	CLEANUP(buf_release) struct buf array = BUF_INIT(ARRAY_TEXT_MAX);
	struct merge *m = work->m;
	int32_t *sequences = m->sequences; /* which are all written or refused by now */
	int64_t count = m->refused.count - from;

	if (count == 0)
		return 0;
	for (int64_t i = 0; i < count; i++)
		sequences[i] = m->refused.list[from + i].sequence;
	put_array(&array, sequences, count);
	if (pg_query(work->pg, statement(m, MERGE_REFUSE), PG_PARAMS(buf_text(&array)), NULL, err))
		return -1;
	return pg_query(work->pg, statement(m, MERGE_AGAIN), work->params, 1, NULL, err);
}

/* What a round does to its rows of one outcome: in one statement, and where that is refused, by halves. */
static int write_round(struct work *work, const struct row_writer *writer, enum outcome outcome, int64_t count,
		       struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	const char *const params[] = { work->params[0], outcome_name(outcome) };
	unsigned from = work->m->refused.count;
	int32_t *sequences;
	bool refused;

	if (count == 0)
		return 0;
	if (refusals_attempt(work->pg, writer, NULL, count, &refused, err))
		return -1;
	if (!refused)
		return 0;
	if (pg_query(work->pg, statement(work->m, MERGE_LIST), params, 2, &r, err))
		return -1;
	sequences = room_for_sequences(work->m, pg_rows(r));
	for (int row = 0; row < pg_rows(r); row++)
		sequences[row] = (int32_t)pg_int(r, row, 0);
	if (pg_exec(work->pg, statement(work->m, MERGE_BEGIN_PARTS), err) ||
	    refusals_find(&work->m->refused, work->pg, writer, sequences, pg_rows(r), err) ||
	    note_refused(work, from, err))
		return -1;
	return pg_exec(work->pg, statement(work->m, MERGE_END_PARTS), err);
}

static int run_round(struct merge *m, struct pg *pg, int64_t round, const struct merge_batch *batch, struct err *err)
{
	char number[PG_INT_MAX], from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	const char *const params[] = { pg_int_text(round, number), from, to };
	struct work work = { m, pg, batch, params };
	const struct row_writer inserts = { &work, insert_rows, judge_insert }, updates = { &work, update_rows, NULL };
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int64_t inserted, updated;

	clock_format(batch->time_min, 6, from);
	clock_format(batch->time_max, 6, to);
	if (pg_query(pg, statement(m, MERGE_CLASSIFY), params, 3, NULL, err))
		return -1;
	if (pg_query(pg, statement(m, MERGE_CHANGES), params, 1, &r, err))
		return -1;
	inserted = pg_int(r, 0, 0);
	updated = pg_int(r, 0, 1);
	if (inserted + updated == 0)
		return 0;
	return pg_exec(pg, statement(m, MERGE_ANALYZE), err) ||
			       write_round(&work, &inserts, OUTCOME_INSERTED, inserted, err) ||
			       write_round(&work, &updates, OUTCOME_UPDATED, updated, err)
		       ? -1
		       : 0;
}

static enum outcome outcome_of(const char *name)
{
	unsigned i = 0;

	while (i + 1 < OUTCOMES && strcmp(outcome_name((enum outcome)i), name) != 0)
		i++;
	return (enum outcome)i;
}

static int count_outcomes(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
			  int64_t *ret_counted, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int64_t known = 0;

	*ret_counted = 0;
	if (pg_query(pg, statement(m, MERGE_COUNT), PG_NO_PARAMS, &r, err))
		return -1;
	for (int row = 0; row < pg_rows(r); row++) {
		enum outcome outcome = outcome_of(pg_text(r, row, 2));
		int64_t attempt = pg_int(r, row, 0), records = pg_int(r, row, 3);
		int32_t partition = (int32_t)pg_int(r, row, 1);

		ledger_add(ledger, attempt, batch->topic, partition, outcome, records,
			   strtoull(pg_text(r, row, 4), NULL, 10),
			   ledger_span_of(batch->arrivals, attempt, batch->topic, partition));
		*ret_counted += records;
		known += outcome == OUTCOME_INSERTED ? 0 : records;
	}
	m->expect_known = m->expect_known || known > 0;
	return 0;
}

static int report_collisions(struct merge *m, struct pg *pg, int64_t *counted, merge_refusal_fn *refused, void *self,
			     struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, statement(m, MERGE_COLLISIONS), PG_NO_PARAMS, &r, err))
		return -1;
	for (int row = 0; row < pg_rows(r); row++)
		if (refused(self, &(struct merge_refusal){ (int32_t)pg_int(r, row, 0), NULL }, err))
			return -1;
	*counted += pg_rows(r);
	return 0;
}

static int report_refused(struct merge *m, int64_t *counted, merge_refusal_fn *refused, void *self, struct err *err)
{
	for (unsigned i = 0; i < m->refused.count; i++)
		if (refused(self, &(struct merge_refusal){ m->refused.list[i].sequence, m->refused.list[i].why }, err))
			return -1;
	*counted += m->refused.count;
	return 0;
}

static int sort_out(struct merge *m, struct pg *pg, const struct merge_batch *batch, int32_t rounds,
		    struct ledger *ledger, merge_refusal_fn *refused, void *self, struct err *err)
{
	int64_t counted;

	for (int32_t round = 1; round <= rounds; round++)
		if (run_round(m, pg, round, batch, err))
			return -1;
	if (count_outcomes(m, pg, batch, ledger, &counted, err) ||
	    report_collisions(m, pg, &counted, refused, self, err) || report_refused(m, &counted, refused, self, err))
		return -1;
	if (counted != batch->count)
		return err_set(err, ERR_FATAL, "%" PRId64 " of %" PRId64 " rows have an outcome", counted,
			       batch->count);
	return 0;
}

static int stage_part(void *self, const int32_t *sequences, int64_t count, struct err *err)
{
	struct work *work = self;

	return copy_rows(
		work->m, work->pg, MERGE_COPY_STAGE,
		&(struct copying){
			.batch = work->batch, .sequences = sequences, .count = count, .rounds = work->m->rounds },
		err);
}

/*
 * Rounds are counted before anybody knows which rows the staging table refuses;
 * where it refuses some, the others are staged anew as if those had not come.
 */
static int stage_without_refused(struct merge *m, struct work *work, int32_t *ret_rounds, struct err *err)
{
	int32_t *sequences = room_for_sequences(m, work->batch->count);
	int64_t count = 0;

	*ret_rounds = rounds_find(m->rounds, m->table, work->batch, &m->refused);
	for (int64_t i = 0; i < work->batch->count; i++)
		if (rounds_of(m->rounds, work->batch->order[i]) != ROUNDS_NONE)
			sequences[count++] = work->batch->order[i];
	return pg_exec(work->pg, statement(m, MERGE_UNSTAGE), err) || stage_part(work, sequences, count, err) ? -1 : 0;
}

static int stage_rows(struct merge *m, struct pg *pg, const struct merge_batch *batch, int32_t *ret_rounds,
		      struct err *err)
{
	struct work work = { m, pg, batch, NULL };
	const struct row_writer writer = { &work, stage_part, NULL };

	if (table_create_stage(m->table, pg, err))
		return -1;
	refusals_clear(&m->refused);
	*ret_rounds = rounds_find(m->rounds, m->table, batch, &m->refused);
	if (refusals_find(&m->refused, pg, &writer, batch->order, batch->count, err) ||
	    (m->refused.count > 0 && stage_without_refused(m, &work, ret_rounds, err)))
		return err_wrap(err, "staging");
	return 0;
}

/* --- between both: what is there just as it came has its outcome ------------------------------------------------------ */

static void take_in(struct ledger *ledger, const struct merge_batch *batch, int32_t sequence, enum outcome outcome)
{
	const struct merge_row *row = &batch->index[sequence];

	ledger_add(ledger, row->attempt, batch->topic, row->partition, outcome, 1, record_mix(row->ordinal),
		   (struct ledger_span){ row->offset, row->offset });
}

/* The others, in their order, are *rest. */
static int set_same_aside(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
			  struct merge_batch *rest, struct err *err)
{
	refusals_clear(&m->refused);
	rounds_find(m->rounds, m->table, batch, &m->refused);
	if (known_find(m->known, pg, batch, m->rounds, err))
		return -1;
	if (batch->count > m->rest_cap) {
		m->rest_cap = batch->count;
		m->rest = mem_realloc(m->rest, (size_t)m->rest_cap, sizeof(*m->rest));
	}
	*rest = *batch;
	rest->order = m->rest;
	rest->count = 0;
	for (int64_t i = 0; i < batch->count; i++) {
		if (known_as(m->known, batch->order[i]) == KNOWN_SAME)
			take_in(ledger, batch, batch->order[i], OUTCOME_UNCHANGED);
		else
			m->rest[rest->count++] = batch->order[i];
	}
	m->expect_known = known_count(m->known, KNOWN_SAME) + known_count(m->known, KNOWN_OTHER) > 0;
	return 0;
}

/* What is left when only rows were left of whose keys none is there. */
static int try_rest_new(struct merge *m, struct pg *pg, const struct merge_batch *rest, struct ledger *ledger,
			bool *ret_done, struct err *err)
{
	*ret_done = rest->count == 0;
	if (*ret_done || known_count(m->known, KNOWN_NEW) < rest->count)
		return 0;
	if (try_all_new(m, pg, rest, ret_done, err))
		return -1;
	for (int64_t i = 0; *ret_done && i < rest->count; i++)
		take_in(ledger, rest, rest->order[i], OUTCOME_INSERTED);
	return 0;
}

static int merge_rows(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
		      merge_refusal_fn *refused, void *self, struct err *err)
{
	struct merge_batch rest;
	int32_t rounds;
	bool done = false;

	if (!m->expect_known && !batch->cut && try_all_new(m, pg, batch, &done, err))
		return -1;
	if (done) {
		ledger_merge(ledger, batch->arrivals);
		return 0;
	}
	if (set_same_aside(m, pg, batch, ledger, &rest, err) || try_rest_new(m, pg, &rest, ledger, &done, err))
		return -1;
	if (done)
		return 0;
	return stage_rows(m, pg, &rest, &rounds, err) || sort_out(m, pg, &rest, rounds, ledger, refused, self, err) ? -1
														    : 0;
}

/* --- before all of it: what a vendor withdrew since it was read -------------------------------------------------------- */

static void set_withdrawn_aside(struct merge *m, const struct merge_batch *batch, struct ledger *ledger,
				struct merge_batch *standing)
{
	*standing = *batch;
	if (withdrawn_count(m->withdrawn) == 0)
		return;
	if (batch->count > m->standing_cap) {
		m->standing_cap = batch->count;
		m->standing = mem_realloc(m->standing, (size_t)batch->count, sizeof(*m->standing));
	}
	standing->order = m->standing;
	standing->count = 0;
	standing->cut = true;
	for (int64_t i = 0; i < batch->count; i++) {
		if (withdrawn_is(m->withdrawn, batch->order[i]))
			take_in(ledger, batch, batch->order[i], OUTCOME_SUPERSEDED);
		else
			m->standing[standing->count++] = batch->order[i];
	}
}

int merge_run(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
	      merge_refusal_fn *refused, void *self, struct err *err)
{
	struct merge_batch standing;

	if (batch->count == 0)
		return 0;
	if (withdrawn_find(m->withdrawn, pg, batch, err))
		return err_wrap(err, "%s", table_spec(m->table)->name);
	set_withdrawn_aside(m, batch, ledger, &standing);
	if ((standing.count > 0 && merge_rows(m, pg, &standing, ledger, refused, self, err)) ||
	    withdrawn_check(m->withdrawn, pg, batch, err))
		return err_wrap(err, "%s", table_spec(m->table)->name);
	return 0;
}
