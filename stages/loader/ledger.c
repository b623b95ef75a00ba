#include "stages/loader/ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/mem.h"

#define ARRAY_TEXT_MAX (16 * 1024 * 1024)

struct account {
	int64_t attempt;
	const char *topic;
	int32_t partition;
	enum outcome outcome;
	int64_t records;
	uint64_t mix;
	struct ledger_span span;
};

struct ledger {
	struct account *accounts;
	unsigned count, cap;
	unsigned last; /* the account of the record before: mostly the same */
};

const char *outcome_name(enum outcome outcome)
{
	static const char *const names[OUTCOMES] = {
		[OUTCOME_INSERTED] = "inserted",     [OUTCOME_UPDATED] = "updated",
		[OUTCOME_UNCHANGED] = "unchanged",   [OUTCOME_DUPLICATE] = "duplicate",
		[OUTCOME_SUPERSEDED] = "superseded", [OUTCOME_DEAD_LETTER] = "dead_letter",
	};
	return names[outcome];
}

struct ledger *ledger_new(void)
{
	return mem_zalloc(1, sizeof(struct ledger));
}

void ledger_freep(struct ledger **ledger)
{
	if (*ledger)
		free((*ledger)->accounts);
	free(*ledger);
	*ledger = NULL;
}

void ledger_reset(struct ledger *ledger)
{
	ledger->count = 0;
	ledger->last = 0;
}

static bool is_account(const struct account *a, int64_t attempt, const char *topic, int32_t partition,
		       enum outcome outcome)
{
	return a->attempt == attempt && a->partition == partition && a->outcome == outcome && a->topic == topic;
}

static struct account *account_of(struct ledger *ledger, int64_t attempt, const char *topic, int32_t partition,
				  enum outcome outcome)
{
	unsigned i = ledger->last;

	if (i >= ledger->count || !is_account(&ledger->accounts[i], attempt, topic, partition, outcome))
		for (i = 0; i < ledger->count; i++)
			if (is_account(&ledger->accounts[i], attempt, topic, partition, outcome))
				break;
	ledger->last = i;
	if (i < ledger->count)
		return &ledger->accounts[i];
	if (ledger->count == ledger->cap) {
		ledger->cap = ledger->cap ? ledger->cap * 2 : 64;
		ledger->accounts = mem_realloc(ledger->accounts, ledger->cap, sizeof(*ledger->accounts));
	}
	ledger->count++;
	ledger->accounts[i] = (struct account){ attempt, topic, partition, outcome, 0, 0, LEDGER_SPAN_NONE };
	return &ledger->accounts[i];
}

static void widen(struct ledger_span *span, struct ledger_span by)
{
	if (by.first >= 0 && (span->first < 0 || by.first < span->first))
		span->first = by.first;
	if (by.last > span->last)
		span->last = by.last;
}

void ledger_add(struct ledger *ledger, int64_t attempt, const char *topic, int32_t partition, enum outcome outcome,
		int64_t records, uint64_t mix, struct ledger_span span)
{
	struct account *account = account_of(ledger, attempt, topic, partition, outcome);

	account->records += records;
	account->mix += mix;
	widen(&account->span, span);
}

struct ledger_span ledger_span_of(const struct ledger *ledger, int64_t attempt, const char *topic, int32_t partition)
{
	struct ledger_span span = LEDGER_SPAN_NONE;

	for (unsigned i = 0; i < ledger->count; i++) {
		const struct account *a = &ledger->accounts[i];

		if (is_account(a, attempt, topic, partition, a->outcome))
			widen(&span, a->span);
	}
	return span;
}

void ledger_merge(struct ledger *ledger, const struct ledger *other)
{
	for (unsigned i = 0; i < other->count; i++) {
		const struct account *a = &other->accounts[i];

		ledger_add(ledger, a->attempt, a->topic, a->partition, a->outcome, a->records, a->mix, a->span);
	}
}

int64_t ledger_count(const struct ledger *ledger, enum outcome outcome)
{
	int64_t records = 0;

	for (unsigned i = 0; i < ledger->count; i++)
		if (ledger->accounts[i].outcome == outcome)
			records += ledger->accounts[i].records;
	return records;
}

/* One array of rows as text; topic names need no quoting beyond the quotes. */
static void put_rows(const struct ledger *ledger, struct buf *rows)
{
	buf_put_u8(rows, '[');
	for (unsigned i = 0; i < ledger->count; i++) {
		const struct account *a = &ledger->accounts[i];

		buf_printf(rows,
			   "%s{\"attempt\":%" PRId64 ",\"topic\":\"%s\",\"partition\":%d,\"outcome\":\"%s\","
			   "\"records\":%" PRId64 ",\"mix\":%" PRIu64 ",\"first\":%" PRId64 ",\"last\":%" PRId64 "}",
			   i ? "," : "", a->attempt, a->topic, a->partition, outcome_name(a->outcome), a->records,
			   a->mix, a->span.first, a->span.last);
	}
	buf_put_u8(rows, ']');
}

/* Ordered by key: two loaders that touch one attempt lock its rows in the same order. */
int ledger_write(struct ledger *ledger, struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(buf_release) struct buf rows = BUF_INIT(ARRAY_TEXT_MAX);

	if (ledger->count == 0)
		return 0;
	put_rows(ledger, &rows);
	if (rows.overflow)
		return err_set(err, ERR_FATAL, "ledger: more than %d bytes of accounts in one batch", ARRAY_TEXT_MAX);
	if (pg_query(
		    pg,
		    "INSERT INTO etl.ledger AS l (attempt, topic, partition, outcome, records, mix, first_offset, last_offset)"
		    " SELECT attempt, topic, partition, outcome, records, mix, nullif(first, -1), nullif(last, -1)"
		    "   FROM jsonb_to_recordset($1::jsonb)"
		    "        AS b (attempt bigint, topic text, partition integer, outcome text, records bigint, mix numeric,"
		    "              first bigint, last bigint)"
		    "  ORDER BY attempt, topic, partition, outcome"
		    " ON CONFLICT (attempt, topic, partition, outcome) DO UPDATE"
		    " SET records = l.records + EXCLUDED.records,"
		    "     mix = mod(l.mix + EXCLUDED.mix, 18446744073709551616),"
		    "     first_offset = least(l.first_offset, EXCLUDED.first_offset),"
		    "     last_offset = greatest(l.last_offset, EXCLUDED.last_offset)",
		    PG_PARAMS(buf_text(&rows)), &r, err))
		return err_wrap(err, "ledger");
	if (pg_affected(r) != (int64_t)ledger->count)
		return err_set(err, ERR_RETRY, "ledger: %" PRId64 " of %u accounts written", pg_affected(r),
			       ledger->count);
	return 0;
}
