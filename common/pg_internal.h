#pragma once
/* What the parts of pg.c share: the connection, and what its errors mean. */
#include <libpq-fe.h>

#include "common/pg.h"

struct pg {
	PGconn *conn;
	int pid;           /* of the server's process: behind a pooler PQbackendPID() is another number */
	char state[6];     /* SQLSTATE of the last error */
	char failure[400]; /* with the server's sentence */
};

/* libpq's text, which may have several lines, as one. */
int pg_set_error(struct err *err, enum err_kind kind, const char *message);

int pg_fail_result(struct pg *pg, const PGresult *r, struct err *err);

/* False: no answer to what was sent, for so long. */
bool pg_answered_within(struct pg *pg, int ms);

/* A connection as database.* says, and nothing asked of it yet. */
int pg_connect(struct pg **ret, const struct config *cfg, const char *application_name, struct err *err);
