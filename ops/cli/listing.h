#pragma once
/*
 * Commands that show what the API has: a path, and which words and options
 * become its parameters. What else there is to filter by, the API knows: every
 * --name VALUE goes to it as a parameter, and it refuses what is none.
 */
#include <stdbool.h>

#define LISTING_WORDS_MAX 3

struct listing {
	const char *command;                  /* "dlq ls" */
	const char *path;                     /* "/api/v1/dead-letters"; {id} is the word of that name */
	const char *list;                     /* the member that holds the rows; NULL: the answer is one */
	const char *words[LISTING_WORDS_MAX]; /* parameters by their place: { "run" } */
	unsigned words_needed;
	const char *columns; /* of the table; NULL: all */
	bool blocks;         /* a row is long: a member a line instead of a table */
	const char *nothing; /* what is said of an empty list */
};

int listing_run(const struct listing *listing, int argc, char **argv);

/* The commands of listings.c */
int command_runs(int argc, char **argv);
int command_ledger(int argc, char **argv);
int command_coverage(int argc, char **argv);
int command_why(int argc, char **argv);
int command_bars(int argc, char **argv);
int command_restatements(int argc, char **argv);
int command_withdrawals(int argc, char **argv);
int command_alarms(int argc, char **argv);
int command_backfills(int argc, char **argv);
int command_breaker_ls(int argc, char **argv);
int command_symbols(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_dlq_ls(int argc, char **argv);
int command_dlq_show(int argc, char **argv);
int command_dlq_summary(int argc, char **argv);
int command_dlq_reviews(int argc, char **argv);
int command_quality(int argc, char **argv);
int command_token_ls(int argc, char **argv);
