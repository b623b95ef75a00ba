/* A connection, and in a sentence why there is none. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/pg_internal.h"
#include "common/pg_session.h"

#define STATE_TEXT 6
#define SERVERS_WORD ":  " /* behind a severity, in whatever language; libpq's own sentences have one blank */

/* --- why not ----------------------------------------------------------------------------------------------------------- */

/* Trying again cannot help: somebody has to change something. */
struct cause {
	const char *said;
	const char *way_out;
};

/* What the server answered, by SQLSTATE. */
static const struct cause servers[] = {
	{ "28P01", "user or password in database.dsn is wrong, put the right one there" },
	{ "28000", "the server does not let this user in this way, look at user and sslmode in database.dsn and at the "
		   "server's pg_hba.conf" },
	{ "3D000", "there is no such database, create it or name another one in database.dsn" },
	{ "42501", "the user of database.dsn may not connect to this database, grant it CONNECT" },
};

/* What libpq says itself; in English, as no program here asks for another language. */
static const struct cause own[] = {
	{ "certificate verify failed",
	  "the server's certificate is not of the CA in database.dsn, name the right one there (sslrootcert)" },
	{ "does not match host name",
	  "the server's certificate is another host's, name in database.dsn the host that it is for" },
	{ "does not support SSL",
	  "the server has no TLS, switch it on there (ssl = on) or change sslmode in database.dsn" },
	{ "root certificate file",
	  "there is no CA to know the server by, name its file in database.dsn (sslrootcert)" },
	{ "certificate file", "our certificate cannot be read, look at sslcert in database.dsn" },
	{ "private key file", "our certificate's key cannot be read, look at sslkey in database.dsn" },
	{ "alert unknown ca", "the server does not know the CA of our certificate, look at sslcert in database.dsn" },
	{ "no password supplied", "the server wants a password, give it in database.dsn (password or passfile)" },
};

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/*
 * libpq keeps the SQLSTATE of a refused connection to itself, and the server's
 * sentence may be in any language: it is asked once more, for that alone.
 */
static void ask_state(PGconn *conn, char state[STATE_TEXT])
{
	const char *at, *found = NULL;

	state[0] = '\0';
	if (!strstr(PQerrorMessage(conn), SERVERS_WORD))
		return;
	PQsetErrorVerbosity(conn, PQERRORS_SQLSTATE);
	PQreset(conn);
	if (PQstatus(conn) == CONNECTION_OK)
		return;
	for (at = PQerrorMessage(conn); (at = strstr(at, SERVERS_WORD)); at++)
		found = at + strlen(SERVERS_WORD);
	if (found)
		snprintf(state, STATE_TEXT, "%.5s", found);
}

static const char *way_out(const char *said, const char *state)
{
	for (unsigned i = 0; i < COUNT(servers); i++)
		if (strcmp(state, servers[i].said) == 0)
			return servers[i].way_out;
	for (unsigned i = 0; !state[0] && i < COUNT(own); i++)
		if (strstr(said, own[i].said))
			return own[i].way_out;
	return NULL;
}

static int fail_connect(PGconn *conn, struct err *err)
{
	CLEANUP(freep) char *said = mem_strdup(PQerrorMessage(conn));
	char state[STATE_TEXT];
	const char *hint;

	ask_state(conn, state);
	hint = way_out(said, state);
	pg_set_error(err, hint ? ERR_FATAL : ERR_RETRY, said);
	return hint ? err_wrap(err, "%s", hint) : -1;
}

/* --- connecting -------------------------------------------------------------------------------------------------------- */

static void ignore_notice(void *self, const char *message)
{
	(void)self;
	(void)message;
}

/* libpq's own words about a string that it cannot read repeat it, with the password. */
static int check_dsn(const char *dsn, struct err *err)
{
	PQconninfoOption *options;

	if (!strchr(dsn, '=') && !strstr(dsn, "://"))
		return err_set(err, ERR_FATAL,
			       "database.dsn is no connection string: KEY=VALUE pairs or postgresql://… is needed");
	options = PQconninfoParse(dsn, NULL);
	if (!options)
		return err_set(err, ERR_FATAL, "database.dsn cannot be read as a connection string or URI");
	PQconninfoFree(options);
	return 0;
}

int pg_connect(struct pg **ret, const struct config *cfg, const char *application_name, struct err *err)
{
	const char *names[] = { "dbname",           "fallback_application_name", "connect_timeout",
				"tcp_user_timeout", "keepalives_idle",           "keepalives_interval",
				"keepalives_count", "client_encoding",           NULL };
	const char *values[] = { config_text(cfg, "database.dsn"),
				 application_name,
				 "10",
				 "15000",
				 "10", /* a host that is gone while we wait for its answer is noticed in 25 s */
				 "5",
				 "3",
				 "UTF8",
				 NULL };
	CLEANUP(pg_freep) struct pg *pg = mem_zalloc(1, sizeof(*pg));

	if (check_dsn(values[0], err))
		return -1;
	pg->conn = PQconnectdbParams(names, values, 1);
	if (PQstatus(pg->conn) != CONNECTION_OK)
		return fail_connect(pg->conn, err);
	PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
	*ret = STEAL(pg);
	return 0;
}

/* Settings not by the parameter `options`: it would take the place of the connection string's. */
int pg_open(struct pg **ret, const struct config *cfg, const char *application_name, struct err *err)
{
	CLEANUP(pg_freep) struct pg *pg = NULL;

	if (pg_connect(&pg, cfg, application_name, err) || pg_session_check(pg, cfg, application_name, err) ||
	    pg_exec(pg, "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET lock_timeout = '30s'", err))
		return -1;
	*ret = STEAL(pg);
	return 0;
}
