#include "common/pg.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg_internal.h"

#define COPY_CHUNK (256 * 1024) /* bytes per PQputCopyData */

#define TRANSACTIONS "penstock_database_transactions_total"
#define TRANSACTIONS_HELP "Database transactions by how they ended."

enum { COMMITTED, ABORTED };

static struct metric transactions[] = {
	[COMMITTED] = { TRANSACTIONS, "result=\"committed\"", METRIC_COUNTER, TRANSACTIONS_HELP, 0 },
	[ABORTED] = { TRANSACTIONS, "result=\"aborted\"", METRIC_COUNTER, TRANSACTIONS_HELP, 0 },
};
struct metric_family pg_transactions = { .rows = transactions, .max = 2, .count = 2 };

struct pg_result {
	PGresult *r;
};

/* --- errors --------------------------------------------------------------------------------------------------------- */

/* SQLSTATEs, or their two-character classes, with what they mean for the caller. Everything else is fatal. */
static const struct {
	const char *state;
	enum err_kind kind;
} kinds[] = {
	{ "22", ERR_RECORD },    /* data exception */
	{ "23502", ERR_RECORD }, /* not null */
	{ "23503", ERR_RECORD }, /* foreign key */
	{ "23505", ERR_RECORD }, /* unique */
	{ "23514", ERR_RECORD }, /* check */
	{ "23P01", ERR_RECORD }, /* exclusion */
	{ "08", ERR_RETRY },     /* connection */
	{ "25006", ERR_RETRY },  /* read-only: a standby that is to be promoted */
	{ "40", ERR_RETRY },     /* serialization, deadlock */
	{ "53", ERR_RETRY },     /* out of resources: disk full, too many connections */
	{ "55", ERR_RETRY },     /* object in use, lock not available */
	{ "57", ERR_RETRY },     /* shutdown, cannot connect now, cancelled */
	{ "58", ERR_RETRY },     /* system error */
};

static enum err_kind kind_of(const char *state)
{
	if (!state || state[0] == '\0')
		return ERR_RETRY; /* no answer from the server: the connection is gone */
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strncmp(state, kinds[i].state, strlen(kinds[i].state)) == 0)
			return kinds[i].kind;
	return ERR_FATAL;
}

/* libpq ends its texts with a line feed and may put several lines in, with tabs in front. */
int pg_set_error(struct err *err, enum err_kind kind, const char *message)
{
	char text[400];
	size_t n = 0;

	for (; *message && n + 1 < sizeof(text); message++) {
		char c = *message == '\n' || *message == '\t' ? ' ' : *message;

		if (c != ' ' || (n > 0 && text[n - 1] != ' '))
			text[n++] = c;
	}
	while (n > 0 && text[n - 1] == ' ')
		n--;
	text[n] = '\0';
	return err_set(err, kind, "database: %s", n ? text : "connection lost");
}

/* Undefined table, column or schema: the tables are not those of this version. */
static bool is_unmigrated(const char *state)
{
	return state && (strcmp(state, "42P01") == 0 || strcmp(state, "42703") == 0 || strcmp(state, "3F000") == 0);
}

int pg_fail_result(struct pg *pg, const PGresult *r, struct err *err)
{
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
	const char *primary = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;

	snprintf(pg->state, sizeof(pg->state), "%s", state ? state : "");
	snprintf(pg->failure, sizeof(pg->failure), "SQLSTATE %s: %s", pg->state, primary ? primary : "no answer");
	if (PQstatus(pg->conn) != CONNECTION_OK)
		return pg_set_error(err, ERR_RETRY, PQerrorMessage(pg->conn));
	/* A check violation that names no constraint: the row's partition is missing, which is not the row's fault. */
	if (state && strcmp(state, "23514") == 0 && !PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME))
		return pg_set_error(err, ERR_RETRY, PQresultErrorMessage(r));
	pg_set_error(err, kind_of(state), r ? PQresultErrorMessage(r) : PQerrorMessage(pg->conn));
	if (is_unmigrated(state))
		return err_wrap(err, "the tables do not fit, run `penstock db migrate`");
	return state && strcmp(state, "42501") == 0
		       ? err_wrap(err,
				  "user %s of database.dsn lacks a privilege, `penstock db roles check` tells which",
				  PQuser(pg->conn))
		       : -1;
}

/* --- connection ------------------------------------------------------------------------------------------------------ */

void pg_freep(struct pg **pg)
{
	if (!*pg)
		return;
	PQfinish((*pg)->conn);
	free(*pg);
	*pg = NULL;
}

bool pg_failed_with(const struct pg *pg, const char *sqlstate)
{
	return strcmp(pg->state, sqlstate) == 0;
}

const char *pg_failure(const struct pg *pg)
{
	return pg->failure;
}

bool pg_usable(const struct pg *pg)
{
	return pg && PQstatus(pg->conn) == CONNECTION_OK && PQtransactionStatus(pg->conn) != PQTRANS_UNKNOWN;
}

bool pg_alive(struct pg *pg)
{
	struct pollfd socket;

	if (!pg_usable(pg))
		return false;
	socket = (struct pollfd){ .fd = PQsocket(pg->conn), .events = POLLIN };
	return poll(&socket, 1, 0) <= 0 || PQconsumeInput(pg->conn);
}

/* --- statements ------------------------------------------------------------------------------------------------------ */

static void clear_resultp(PGresult **r)
{
	PQclear(*r);
}

int pg_exec(struct pg *pg, const char *sql, struct err *err)
{
	CLEANUP(clear_resultp) PGresult *r = PQexec(pg->conn, sql);
	ExecStatusType status = PQresultStatus(r);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
		return pg_fail_result(pg, r, err);
	return 0;
}

/* The result becomes the caller's where it is wanted. */
static int take_result(struct pg *pg, PGresult **r, struct pg_result **ret_result, struct err *err)
{
	ExecStatusType status = PQresultStatus(*r);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		return pg_fail_result(pg, *r, err);
	if (ret_result) {
		pg_result_freep(ret_result);
		*ret_result = mem_alloc(sizeof(**ret_result));
		(*ret_result)->r = STEAL(*r);
	}
	return 0;
}

int pg_query(struct pg *pg, const char *sql, const char *const *params, unsigned count, struct pg_result **ret_result,
	     struct err *err)
{
	CLEANUP(clear_resultp) PGresult *r = PQexecParams(pg->conn, sql, (int)count, NULL, params, NULL, NULL, 0);

	return take_result(pg, &r, ret_result, err);
}

int pg_fetch_begin(struct pg *pg, const char *sql, const struct pg_value *params, unsigned count, struct err *err)
{
	const char *values[PG_VALUES_MAX];
	int lengths[PG_VALUES_MAX], formats[PG_VALUES_MAX];

	if (count > PG_VALUES_MAX)
		return err_set(err, ERR_FATAL, "database: %u parameters", count);
	for (unsigned i = 0; i < count; i++) {
		values[i] = params[i].data.data;
		lengths[i] = (int)params[i].data.len;
		formats[i] = params[i].binary;
	}
	return PQsendQueryParams(pg->conn, sql, (int)count, NULL, values, lengths, formats, 1)
		       ? 0
		       : pg_fail_result(pg, NULL, err);
}

int pg_fetch_take(struct pg *pg, struct pg_result **ret_result, struct err *err)
{
	CLEANUP(clear_resultp) PGresult *r = PQgetResult(pg->conn);
	PGresult *extra;

	while ((extra = PQgetResult(pg->conn)))
		PQclear(extra);
	return take_result(pg, &r, ret_result, err);
}

int pg_fetch(struct pg *pg, const char *sql, const struct pg_value *params, unsigned count,
	     struct pg_result **ret_result, struct err *err)
{
	return pg_fetch_begin(pg, sql, params, count, err) || pg_fetch_take(pg, ret_result, err) ? -1 : 0;
}

/* False: no answer yet, ask for it again. What is wrong with the connection shows when the result is taken. */
bool pg_answered_within(struct pg *pg, int ms)
{
	struct pollfd socket = { .fd = PQsocket(pg->conn), .events = POLLIN };

	while (PQisBusy(pg->conn)) {
		if (poll(&socket, 1, ms) == 0)
			return false;
		if (!PQconsumeInput(pg->conn))
			return true;
	}
	return true;
}

/* A blocked session can do nothing itself: another one looks for who blocks it. */
static int end_blockers(struct pg *pg, const struct config *cfg, const char *whose, struct err *err)
{
	CLEANUP(pg_freep) struct pg *helper = NULL;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	char pid[PG_INT_MAX];

	if (pg_open(&helper, cfg, "penstock.takeover", err) ||
	    pg_query(helper,
		     "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
		     " WHERE pid = ANY (pg_blocking_pids($1::integer)) AND starts_with(application_name, $2)",
		     PG_PARAMS(pg_int_text(pg->pid, pid), whose), &r, err))
		return -1;
	if (pg_int(r, 0, 0) > 0)
		log_warning("blockers_ended", LOG_FIELDS(log_i64("sessions", pg_int(r, 0, 0))),
			    "ended %s sessions of %s that held what was to be taken over", pg_text(r, 0, 0), whose);
	return 0;
}

int pg_query_past_blockers(struct pg *pg, const struct config *cfg, const char *whose, int patience_ms, const char *sql,
			   const char *const *params, unsigned count, struct pg_result **ret_result, struct err *err)
{
	struct err trouble = ERR_INIT;

	if (!PQsendQueryParams(pg->conn, sql, (int)count, NULL, params, NULL, NULL, 0))
		return pg_fail_result(pg, NULL, err);
	while (!pg_answered_within(pg, patience_ms))
		if (end_blockers(pg, cfg, whose, &trouble))
			break; /* lock_timeout ends the wait */
	return pg_fetch_take(pg, ret_result, err);
}

void pg_result_freep(struct pg_result **result)
{
	if (!*result)
		return;
	PQclear((*result)->r);
	free(*result);
	*result = NULL;
}

int pg_rows(const struct pg_result *result)
{
	return PQntuples(result->r);
}

int64_t pg_affected(const struct pg_result *result)
{
	return strtoll(PQcmdTuples(result->r), NULL, 10);
}

const char *pg_text(const struct pg_result *result, int row, int column)
{
	return PQgetvalue(result->r, row, column);
}

int64_t pg_int(const struct pg_result *result, int row, int column)
{
	return strtoll(PQgetvalue(result->r, row, column), NULL, 10);
}

bool pg_bool(const struct pg_result *result, int row, int column)
{
	return PQgetvalue(result->r, row, column)[0] == 't';
}

bool pg_null(const struct pg_result *result, int row, int column)
{
	return PQgetisnull(result->r, row, column);
}

struct str pg_bytes(const struct pg_result *result, int row, int column)
{
	if (PQgetisnull(result->r, row, column))
		return (struct str){ NULL, 0 };
	return (struct str){ PQgetvalue(result->r, row, column), (uint32_t)PQgetlength(result->r, row, column) };
}

int pg_columns(const struct pg_result *result)
{
	return PQnfields(result->r);
}

const char *pg_column(const struct pg_result *result, int column)
{
	return PQfname(result->r, column);
}

/* Numbers of src/include/catalog/pg_type.dat, which never change. */
enum pg_type pg_column_type(const struct pg_result *result, int column)
{
	static const struct {
		Oid oid;
		enum pg_type type;
	} types[] = {
		{ 16, PG_TYPE_BOOL },   { 20, PG_TYPE_INTEGER }, { 21, PG_TYPE_INTEGER }, { 23, PG_TYPE_INTEGER },
		{ 114, PG_TYPE_JSON },  { 3802, PG_TYPE_JSON },  { 700, PG_TYPE_FLOAT },  { 701, PG_TYPE_FLOAT },
		{ 1082, PG_TYPE_DATE }, { 1184, PG_TYPE_TIME },
	};
	Oid oid = PQftype(result->r, column);

	for (unsigned i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i].oid == oid)
			return types[i].type;
	return PG_TYPE_TEXT;
}

int pg_describe(struct pg *pg, const char *sql, struct pg_result **ret_result, struct err *err)
{
	CLEANUP(clear_resultp) PGresult *prepared = PQprepare(pg->conn, "", sql, 0, NULL);
	CLEANUP(clear_resultp) PGresult *described = NULL;

	if (PQresultStatus(prepared) != PGRES_COMMAND_OK)
		return pg_fail_result(pg, prepared, err);
	described = PQdescribePrepared(pg->conn, "");
	return take_result(pg, &described, ret_result, err);
}

const char *pg_int_text(int64_t value, char text[PG_INT_MAX])
{
	snprintf(text, PG_INT_MAX, "%" PRId64, value);
	return text;
}

/* --- transactions ---------------------------------------------------------------------------------------------------- */

int pg_begin(struct pg *pg, struct err *err)
{
	return pg_exec(pg, "BEGIN; SET CONSTRAINTS ALL IMMEDIATE", err);
}

/* A COMMIT of a failed transaction answers ROLLBACK and no error: that is one. */
int pg_commit(struct pg *pg, struct err *err)
{
	CLEANUP(clear_resultp) PGresult *r = PQexec(pg->conn, "COMMIT");

	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		return pg_fail_result(pg, r, err);
	if (strcmp(PQcmdStatus(r), "COMMIT") != 0)
		return err_set(err, ERR_RETRY, "database: the transaction was rolled back at its commit");
	metric_add(&transactions[COMMITTED], 1);
	return 0;
}

void pg_rollback(struct pg *pg)
{
	PGTransactionStatusType status = PQtransactionStatus(pg->conn);

	if (status != PQTRANS_INTRANS && status != PQTRANS_INERROR)
		return;
	PQclear(PQexec(pg->conn, "ROLLBACK"));
	metric_add(&transactions[ABORTED], 1);
}

/* --- COPY ------------------------------------------------------------------------------------------------------------ */

static int put_bytes(struct pg *pg, struct str bytes, struct err *err)
{
	return PQputCopyData(pg->conn, bytes.data, (int)bytes.len) == 1 ? 0 : pg_fail_result(pg, NULL, err);
}

static int put_rows(struct pg *pg, const struct pg_rows *rows, struct err *err)
{
	static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
	struct str bytes;

	if (put_bytes(pg, (struct str){ header, 19 }, err))
		return -1;
	while ((bytes = rows->next(rows->self)).len > 0)
		if (put_bytes(pg, bytes, err))
			return -1;
	if (put_bytes(pg, STR_LIT("\377\377"), err))
		return -1;
	return PQputCopyEnd(pg->conn, NULL) == 1 ? 0 : pg_fail_result(pg, NULL, err);
}

int pg_copy_rows(struct pg *pg, const char *sql, const struct pg_rows *rows, int64_t *ret_rows, struct err *err)
{
	CLEANUP(clear_resultp) PGresult *start = PQexec(pg->conn, sql);
	CLEANUP(clear_resultp) PGresult *end = NULL;
	PGresult *extra;
	int r;

	if (PQresultStatus(start) != PGRES_COPY_IN)
		return pg_fail_result(pg, start, err);
	r = put_rows(pg, rows, err);
	end = PQgetResult(pg->conn);
	if (PQresultStatus(end) != PGRES_COMMAND_OK)
		r = pg_fail_result(pg, end, err);
	else if (r == 0 && ret_rows)
		*ret_rows = strtoll(PQcmdTuples(end), NULL, 10);
	while ((extra = PQgetResult(pg->conn))) {
		bool stuck =
			PQresultStatus(extra) == PGRES_COPY_IN; /* it never ended: there is one of these for ever */

		PQclear(extra);
		if (stuck)
			break;
	}
	return r;
}

struct left {
	const struct buf *rows;
	size_t done;
};

static struct str next_chunk(void *self)
{
	struct left *left = self;
	size_t n = left->rows->len - left->done;
	struct str chunk = { (const char *)left->rows->data + left->done, n < COPY_CHUNK ? (uint32_t)n : COPY_CHUNK };

	left->done += chunk.len;
	return chunk;
}

int pg_copy_binary(struct pg *pg, const char *sql, const struct buf *rows, int64_t *ret_rows, struct err *err)
{
	struct left left = { rows, 0 };

	return pg_copy_rows(pg, sql, &(struct pg_rows){ next_chunk, &left }, ret_rows, err);
}
