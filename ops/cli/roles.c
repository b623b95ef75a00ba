/* db roles apply, check, ls */
#include "ops/cli/roles.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/mem.h"
#include "ops/cli/cli.h"

#define COMMAND "db roles"
#define FACTS "schemas/roles.sql"
#define COMPARED "ops/cli/roles.sql"

enum { STATEMENT, THERE }; /* columns of COMPARED */

/* --- what differs ------------------------------------------------------------------------------------------------------ */

static int compare(struct pg *pg, struct pg_result **ret, struct err *err)
{
	CLEANUP(freep)
	char *sql = mem_printf("WITH facts AS MATERIALIZED (%s)%s", embed_find(FACTS).data, embed_find(COMPARED).data);

	return pg_query(pg, sql, PG_NO_PARAMS, ret, err);
}

/* Who may not make roles is told the statement for somebody who may. */
static int check_maker(struct pg *pg, const char *statement, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, "SELECT rolsuper OR rolcreaterole, rolname FROM pg_roles WHERE rolname = current_user",
		     PG_NO_PARAMS, &r, err))
		return -1;
	return pg_bool(r, 0, 0)
		       ? 0
		       : err_set(err, ERR_FATAL,
				 "%s may not make roles: let an administrator of the server run `%s` (and so on, "
				 "--dry-run shows all), then this again",
				 pg_text(r, 0, 1), statement);
}

static bool is_creation(const char *statement)
{
	return strncmp(statement, "CREATE", 6) == 0;
}

/* Roles are the whole server's: one that another database's owner made meanwhile is just as good. */
static int run_statement(struct pg *pg, const char *statement, struct err *err)
{
	CLEANUP(freep) char *creation = NULL;

	if (!is_creation(statement))
		return pg_exec(pg, statement, err) ? err_wrap(err, "%s", statement) : 0;
	if (check_maker(pg, statement, err))
		return -1;
	creation = mem_printf("DO $$ BEGIN %s; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
			      statement);
	return pg_exec(pg, creation, err);
}

/* A GRANT that its user may not make is a warning to the server. */
static int check_done(struct pg *pg, bool only_there, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *left = NULL;

	if (compare(pg, &left, err))
		return -1;
	for (int i = 0; i < pg_rows(left); i++)
		if (!only_there || pg_bool(left, i, THERE))
			return err_set(
				err, ERR_FATAL,
				"the user of database.dsn may not do this: let the owner of database and tables run `%s`",
				pg_text(left, i, STATEMENT));
	return 0;
}

/* In a transaction of the caller's. only_there: roles that are missing stay so. */
static int make_agree(struct pg *pg, bool only_there, bool tell, int *ret_changes, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	*ret_changes = 0;
	if (pg_exec(pg, "SELECT pg_advisory_xact_lock(hashtext('etl.roles'))", err) || compare(pg, &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++) {
		if (only_there && !pg_bool(r, i, THERE))
			continue;
		if (run_statement(pg, pg_text(r, i, STATEMENT), err))
			return -1;
		if (tell)
			printf("%s;\n", pg_text(r, i, STATEMENT));
		++*ret_changes;
	}
	return *ret_changes ? check_done(pg, only_there, err) : 0;
}

static int agree(struct pg *pg, bool only_there, bool tell, int *ret_changes, struct err *err)
{
	int r = pg_begin(pg, err) || make_agree(pg, only_there, tell, ret_changes, err) || pg_commit(pg, err) ? -1 : 0;

	pg_rollback(pg);
	return r;
}

int roles_refresh(struct pg *pg, int *ret_changes, struct err *err)
{
	return agree(pg, true, false, ret_changes, err);
}

/* --- the command ------------------------------------------------------------------------------------------------------- */

static int apply(struct pg *pg, struct err *err)
{
	int changes = 0;

	if (agree(pg, false, true, &changes, err))
		return -1;
	if (changes == 0)
		puts("nothing to change");
	return 0;
}

/* Lines that psql takes. */
static int show(struct pg *pg, int *ret_changes, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (compare(pg, &r, err))
		return -1;
	*ret_changes = pg_rows(r);
	for (int i = 0; i < *ret_changes; i++)
		printf("%s;\n", pg_text(r, i, STATEMENT));
	return 0;
}

static int check(struct pg *pg, struct err *err)
{
	int changes = 0;

	if (show(pg, &changes, err))
		return -1;
	if (changes)
		return err_set(err, ERR_RECORD, "%d statements are missing: `penstock db roles apply` runs them",
			       changes);
	puts("as they should be");
	return 0;
}

static int list(struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, embed_find(FACTS).data, PG_NO_PARAMS, &r, err))
		return -1;
	printf("%-22s %-22s %s\n", "role", "may", "what");
	for (int i = 0; i < pg_rows(r); i++)
		printf("%-22s %-22s %s\n", pg_text(r, i, 0), pg_text(r, i, 1), pg_text(r, i, 2));
	return 0;
}

static int act(struct pg *pg, const char *action, bool dry_run, struct err *err)
{
	int changes;

	if (strcmp(action, "ls") == 0)
		return list(pg, err);
	if (pg_check_migrations(pg, err))
		return -1;
	if (strcmp(action, "check") == 0)
		return check(pg, err);
	return dry_run ? show(pg, &changes, err) : apply(pg, err);
}

static bool is_action(const char *word)
{
	return strcmp(word, "apply") == 0 || strcmp(word, "check") == 0 || strcmp(word, "ls") == 0;
}

int command_db_roles(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(pg_freep) struct pg *pg = NULL;
	bool dry_run = cli_flag(&argc, argv, "--dry-run");
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	if (cli_leftover(COMMAND, argc, argv, 1))
		return EXIT_USAGE;
	if (argc == 0 || !is_action(argv[0])) {
		fputs("penstock " COMMAND ": apply, check or ls\n", stderr);
		return EXIT_USAGE;
	}
	return pg_open(&pg, cfg, "penstock.roles", &err) || act(pg, argv[0], dry_run, &err) ? cli_fail(COMMAND, &err)
											    : EXIT_OK;
}
