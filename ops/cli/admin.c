/* topics apply, topics check, db migrate */
#include <stdio.h>

#include "common/calendars_pg.h"
#include "common/cleanup.h"
#include "common/datasets_pg.h"
#include "common/embed.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/pg.h"
#include "common/topics.h"
#include "ops/cli/cli.h"
#include "ops/cli/roles.h"

int command_topics_apply(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(topics_freep) struct topics *topics = NULL;
	bool dry_run = cli_flag(&argc, argv, "--dry-run");
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("topics apply", &err), EXIT_USAGE;
	if (cli_leftover("topics apply", argc, argv, 0))
		return EXIT_USAGE;
	log_open("penstock", LOG_ERROR); /* what the client tries meanwhile, the error sums up */
	if (kafka_reach(cfg, &err) || topics_open(&topics, cfg, &err) ||
	    topics_apply(topics, cfg, dry_run, cli_print_line, NULL, &err))
		return cli_fail("topics apply", &err);
	return EXIT_OK;
}

int command_topics_check(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(topics_freep) struct topics *topics = NULL;
	unsigned differences = 0;
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("topics check", &err), EXIT_USAGE;
	if (cli_leftover("topics check", argc, argv, 0))
		return EXIT_USAGE;
	log_open("penstock", LOG_ERROR);
	if (kafka_reach(cfg, &err) || topics_open(&topics, cfg, &err) ||
	    topics_check(topics, cfg, cli_print_line, NULL, &differences, &err))
		return cli_fail("topics check", &err);
	printf("%u topics, %u differences\n", topics_count(topics), differences);
	return differences ? EXIT_FAILED : EXIT_OK;
}

static int store_datasets(struct pg *pg, struct err *err)
{
	CLEANUP(datasets_freep) struct datasets *datasets = NULL;

	return datasets_read(&datasets, DATASETS_FILE, embed_find(DATASETS_FILE), err) ||
			       datasets_store(datasets, pg, err) ||
			       calendars_store(pg, CALENDARS_FILE, embed_find(CALENDARS_FILE), err)
		       ? -1
		       : 0;
}

/* New tables are granted to those who should have them. */
static int refresh_roles(struct pg *pg, struct err *err)
{
	int changes;

	if (roles_refresh(pg, &changes, err))
		return -1;
	if (changes)
		printf("roles: %d statements brought them up to date\n", changes);
	return 0;
}

int command_db_migrate(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(pg_freep) struct pg *pg = NULL;
	bool dry_run = cli_flag(&argc, argv, "--dry-run");
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("db migrate", &err), EXIT_USAGE;
	if (cli_leftover("db migrate", argc, argv, 0))
		return EXIT_USAGE;
	if (pg_open(&pg, cfg, "penstock.migrate", &err) || pg_migrate(pg, dry_run, cli_print_line, NULL, &err) ||
	    (!dry_run && (store_datasets(pg, &err) || refresh_roles(pg, &err))))
		return cli_fail("db migrate", &err);
	return EXIT_OK;
}
