/* Migrations: the tables are brought up to date, or it is told that they are not. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/version.h"

#define MIGRATION_DIR "schemas/sql/"
#define SHA256_TEXT 65

static void sha256_text(struct str text, char ret[SHA256_TEXT])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	EVP_Digest(text.data, text.len, digest, &n, EVP_sha256(), NULL);
	for (unsigned i = 0; i < n && i < 32; i++)
		snprintf(ret + 2 * (size_t)i, 3, "%02x", digest[i]);
}

struct migration {
	const char *name; /* "0001_etl.sql" */
	struct str sql;
	char version[PG_INT_MAX];
	char hash[SHA256_TEXT];
};

/* True when it is recorded as applied with the same text. */
static int is_applied(struct pg *pg, const struct migration *m, bool *ret_applied, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, "SELECT sha256 FROM etl.migrations WHERE version = $1", PG_PARAMS(m->version), &r, err))
		return -1;
	*ret_applied = pg_rows(r) > 0;
	if (*ret_applied && strcmp(pg_text(r, 0, 0), m->hash) != 0)
		return err_set(err, ERR_FATAL,
			       "migration %s was applied with another text; add a migration instead of changing one",
			       m->name);
	return 0;
}

static int apply(struct pg *pg, const struct migration *m, struct err *err)
{
	if (pg_exec(pg, m->sql.data, err) ||
	    pg_query(pg, "INSERT INTO etl.migrations (version, name, sha256) VALUES ($1, $2, $3)",
		     PG_PARAMS(m->version, m->name, m->hash), NULL, err))
		return err_wrap(err, "migration %s", m->name);
	return 0;
}

/* False: an embedded file that is none. */
static bool is_migration(const struct embedded *f, struct migration *ret)
{
	if (strncmp(f->path, MIGRATION_DIR, strlen(MIGRATION_DIR)) != 0)
		return false;
	*ret = (struct migration){ .name = f->path + strlen(MIGRATION_DIR),
				   .sql = { f->start, (uint32_t)(f->end - f->start) } };
	pg_int_text(strtol(ret->name, NULL, 10), ret->version);
	sha256_text(ret->sql, ret->hash);
	return true;
}

static int migrate_all(struct pg *pg, bool dry_run, void (*report)(void *, const char *), void *self, struct err *err)
{
	for (const struct embedded *f = embedded_files; f->path; f++) {
		CLEANUP(freep) char *line = NULL;
		struct migration m;
		bool applied;

		if (!is_migration(f, &m))
			continue;
		if (is_applied(pg, &m, &applied, err) || (!applied && !dry_run && apply(pg, &m, err)))
			return -1;
		line = mem_printf("%s: %s", m.name,
				  applied   ? "already there"
				  : dry_run ? "would be applied"
					    : "applied");
		if (report)
			report(self, line);
	}
	return 0;
}

static bool is_known(const char *version)
{
	struct migration m;

	for (const struct embedded *f = embedded_files; f->path; f++)
		if (is_migration(f, &m) && strcmp(m.version, version) == 0)
			return true;
	return false;
}

/* Of a later version of these programs: what its tables mean, this one cannot know. */
static int refuse_newer(struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, "SELECT version, name FROM etl.migrations ORDER BY version DESC", PG_NO_PARAMS, &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		if (!is_known(pg_text(r, i, 0)))
			return err_set(err, ERR_FATAL,
				       "the tables are newer than this program, " PENSTOCK_VERSION
				       ", which does not know migration %s: install the version that made them",
				       pg_text(r, i, 1));
	return 0;
}

int pg_check_migrations(struct pg *pg, struct err *err)
{
	if (refuse_newer(pg, err))
		return -1;
	for (const struct embedded *f = embedded_files; f->path; f++) {
		struct migration m;
		bool applied;

		if (!is_migration(f, &m))
			continue;
		if (is_applied(pg, &m, &applied, err))
			return -1;
		if (!applied)
			return err_set(
				err, ERR_FATAL,
				"the tables are older than this program: migration %s is missing, run `penstock db "
				"migrate`",
				m.name);
	}
	return 0;
}

/* One transaction and one lock, so that two who migrate at once do it one after the other. */
int pg_migrate(struct pg *pg, bool dry_run, void (*report)(void *self, const char *line), void *self, struct err *err)
{
	int r;

	if (pg_begin(pg, err))
		return -1;
	r = pg_exec(pg,
		    "SELECT pg_advisory_xact_lock(hashtext('etl.migrations'));"
		    "CREATE SCHEMA IF NOT EXISTS etl;"
		    "CREATE TABLE IF NOT EXISTS etl.migrations (version integer PRIMARY KEY, name text NOT NULL,"
		    " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
		    err);
	if (r == 0)
		r = refuse_newer(pg, err) || migrate_all(pg, dry_run, report, self, err) ? -1 : 0;
	if (r == 0 && !dry_run)
		r = pg_commit(pg, err);
	pg_rollback(pg);
	return r;
}
