#pragma once
/*
 * The command line: a table of commands, each in its own file, and what they
 * share: configuration, options, printing.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/config.h"
#include "common/err.h"

struct command {
	const char *name; /* "run show" */
	const char *args; /* "[ID] [--json]" */
	const char *summary;
	int (*run)(int argc, char **argv); /* after the name; returns the exit code */
};

extern const struct command cli_commands[]; /* ends with a name of NULL */

/* Programs beside this one that `penstock NAME …` starts; ends with NULL. */
extern const char *const cli_workers[];
/* Does not return where it can be started; else the exit code. */
int cli_start_worker(const char *name, char *const *argv);

/* The table, in short; returns the code. */
int cli_usage(FILE *out, int code);
/* Every command whose name begins with these words, with its arguments; how many there are. */
unsigned cli_describe(FILE *out, int count, char **words);

/* "; is it 'run full'?" where a command's name is nearly that of these words. */
void cli_suggest(FILE *out, int count, char **words);

/* Configuration of the commands: section `cli`, api.*, kafka, database. Options that config takes
 * (--config, --set) are taken out of argv; exits never. */
int cli_config(struct config **ret, int *argc, char **argv, struct err *err);
/* The same of a program's own configuration, for commands that do what it does. */
int cli_config_of(const struct config_spec *spec, struct config **ret, int *argc, char **argv, struct err *err);

/* What --config says, left where it is; NULL: nothing. */
const char *cli_config_option(int argc, char **argv);
/* The configuration's file: as said, else $PENSTOCK_CONFIG, else the usual one. "" or NULL: nothing is said. */
const char *cli_config_file(const char *said);

/* "--name VALUE" or "--name": taken out of argv. */
const char *cli_option(int *argc, char **argv, const char *name);
/* The option's value as a whole number from 0; false, with a word to the user, for anything else. Absent: unchanged. */
bool cli_number(const char *command, const char *option, const char *text, int64_t *value);

bool cli_flag(int *argc, char **argv, const char *name);

/* Anything left that starts with '-', or more than `max` words, is a usage error: printed; EXIT_USAGE, else 0. */
int cli_leftover(const char *command, int argc, char **argv, int max);

/* Prints "penstock <command>: text" and returns the exit code of the error's kind; ERR_RECORD: the answer is no. */
int cli_fail(const char *command, const struct err *err);

/* From now on cli_fail() returns EXIT_USAGE: what was said, or the configuration, is wrong, as the API found out. */
void cli_blame_usage(void);

/* Prints one line; for report callbacks. */
void cli_print_line(void *self, const char *line);

/* A run was accepted: {"run", "status"}. Tells, or waits for its end and reports it (run.c); returns the exit code. */
int run_started(const struct config *cfg, const char *command, const json_t *accepted, bool wait, bool as_json);

int command_help(int argc, char **argv);
int command_man(int argc, char **argv);
int command_completion(int argc, char **argv);
int command_run_full(int argc, char **argv);
int command_run_show(int argc, char **argv);
int command_status(int argc, char **argv);
int command_topics_apply(int argc, char **argv);
int command_topics_check(int argc, char **argv);
int command_acls_apply(int argc, char **argv);
int command_acls_check(int argc, char **argv);
int command_acls_ls(int argc, char **argv);
int command_db_migrate(int argc, char **argv);
int command_events(int argc, char **argv);
int command_lag(int argc, char **argv);
int command_offsets_ls(int argc, char **argv);
int command_offsets_skip(int argc, char **argv);
int command_cat(int argc, char **argv);
int command_config_test_api(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_rules_check(int argc, char **argv);
int command_rules_diff(int argc, char **argv);
int command_rules_test(int argc, char **argv);
int command_rules_try(int argc, char **argv);
int command_schema_ls(int argc, char **argv);
int command_schema_show(int argc, char **argv);
int command_schema_diff(int argc, char **argv);
int command_validate(int argc, char **argv);
int command_subscription_check(int argc, char **argv);
