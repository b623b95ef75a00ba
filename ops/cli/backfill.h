#pragma once
/* What `backfill` and `run resume` share. */
#include <jansson.h>

/*
 * "100calls" or "2.50usd" into a request's budget_calls or budget_usd; NULL: nothing is said. 0, or the exit code after a
 * word to the user.
 */
int backfill_budget(const char *command, const char *text, json_t *request);

int command_backfill(int argc, char **argv);
