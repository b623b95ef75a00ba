#pragma once
/* Whether a connection is a session of the server, as advisory locks, settings and temporary tables need one. */
#include "common/pg_internal.h"

/*
 * Notes the server's process, by which other sessions know this one. ERR_FATAL
 * where a pooler gives each transaction, or each statement, another session.
 */
int pg_session_check(struct pg *pg, const struct config *cfg, const char *application_name, struct err *err);
