#pragma once
/*
 * libpq behind one door: parameterised statements, binary COPY, errors with a
 * kind. A connection belongs to one thread. ERR_RECORD only for class 22 and
 * 23502/23503/23505/23514/23P01; ERR_RETRY for lost connections, deadlocks and
 * what else passes; everything else is ERR_FATAL.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/metrics.h"

struct pg;
struct pg_result;

/*
 * A session as database.* says, application_name as given. ERR_FATAL where
 * only somebody who changes something can help: a wrong password, a server that
 * is not who it should be, a pooler that gives no session.
 */
int pg_open(struct pg **ret, const struct config *cfg, const char *application_name, struct err *err);
void pg_freep(struct pg **pg);

/* Whether the last error was of this SQLSTATE. */
bool pg_failed_with(const struct pg *pg, const char *sqlstate);

/* "SQLSTATE 23514: new row for …": the last error as the server named it, without its details. */
const char *pg_failure(const struct pg *pg);

/* False after an error that leaves the connection unusable: free it and open a new one. */
bool pg_usable(const struct pg *pg);

/* The same, having looked whether the server closed the connection; for one that idles. Costs a system call. */
bool pg_alive(struct pg *pg);

/* Several statements without parameters or rows. */
int pg_exec(struct pg *pg, const char *sql, struct err *err);

/* Parameters are texts, NULL for null. ret_result may be NULL. */
int pg_query(struct pg *pg, const char *sql, const char *const *params, unsigned count, struct pg_result **ret_result,
	     struct err *err);

/*
 * The same, where other sessions may hold what it needs: those that still do
 * after `patience_ms` are ended if their application name begins with `whose`.
 * lock_timeout bounds the whole.
 */
int pg_query_past_blockers(struct pg *pg, const struct config *cfg, const char *whose, int patience_ms, const char *sql,
			   const char *const *params, unsigned count, struct pg_result **ret_result, struct err *err);

/* A parameter: text, or the type's binary form; without data it is null. */
struct pg_value {
	struct str data;
	bool binary;
};

/*
 * A question whose answer is taken later, so that the server works meanwhile. One at a time, and nothing else on this
 * connection until its answer was taken. Columns come in their types' binary forms: pg_bytes().
 */
#define PG_VALUES_MAX 32
int pg_fetch_begin(struct pg *pg, const char *sql, const struct pg_value *params, unsigned count, struct err *err);
int pg_fetch_take(struct pg *pg, struct pg_result **ret_result, struct err *err);
/* Both at once. */
int pg_fetch(struct pg *pg, const char *sql, const struct pg_value *params, unsigned count,
	     struct pg_result **ret_result, struct err *err);

#define PG_PARAMS(...) \
	(const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)
#define PG_NO_PARAMS NULL, 0

void pg_result_freep(struct pg_result **result);
int pg_rows(const struct pg_result *result);
int64_t pg_affected(const struct pg_result *result); /* rows touched by INSERT, UPDATE, DELETE, COPY */
const char *pg_text(const struct pg_result *result, int row, int column); /* "" for null */
int64_t pg_int(const struct pg_result *result, int row, int column);      /* 0 for null */
bool pg_bool(const struct pg_result *result, int row, int column);
bool pg_null(const struct pg_result *result, int row, int column);
struct str pg_bytes(const struct pg_result *result, int row, int column); /* as they came; without data for null */

/* What a result's columns are, as far as JSON has names for it; everything else is text. */
enum pg_type { PG_TYPE_TEXT, PG_TYPE_INTEGER, PG_TYPE_FLOAT, PG_TYPE_BOOL, PG_TYPE_DATE, PG_TYPE_TIME, PG_TYPE_JSON };
int pg_columns(const struct pg_result *result);
const char *pg_column(const struct pg_result *result, int column);
enum pg_type pg_column_type(const struct pg_result *result, int column);

/* The columns of a statement that is not run. */
int pg_describe(struct pg *pg, const char *sql, struct pg_result **ret_result, struct err *err);

/* Constraints that are deferred otherwise are checked by each statement: at COMMIT nobody could tell which row it was. */
int pg_begin(struct pg *pg, struct err *err);
int pg_commit(struct pg *pg, struct err *err);
void pg_rollback(struct pg *pg); /* what cannot be rolled back is gone with the connection */

/* Where the rows of a COPY come from, bytes after bytes, valid until the next call; none of them: that was all. */
struct pg_rows {
	struct str (*next)(void *self);
	void *self;
};

/* COPY … FROM STDIN (FORMAT binary): rows without the file header and trailer, which are added here. */
int pg_copy_rows(struct pg *pg, const char *sql, const struct pg_rows *rows, int64_t *ret_rows, struct err *err);
int pg_copy_binary(struct pg *pg, const char *sql, const struct buf *rows, int64_t *ret_rows, struct err *err);

/* Text for a parameter, in the caller's array. */
#define PG_INT_MAX 24
const char *pg_int_text(int64_t value, char text[PG_INT_MAX]);

/* The same for one statement; lives as long as the block around it. */
#define INT_TEXT(value) pg_int_text((value), (char[PG_INT_MAX]){ 0 })

/* Applies every embedded migration that is missing; a migration whose text changed since is refused. */
int pg_migrate(struct pg *pg, bool dry_run, void (*report)(void *self, const char *line), void *self, struct err *err);

/* Whether the tables are those of this program; else ERR_FATAL, with what is to be done. For its start. */
int pg_check_migrations(struct pg *pg, struct err *err);

/* What became of this process's transactions, for a worker's table. */
extern struct metric_family pg_transactions;
