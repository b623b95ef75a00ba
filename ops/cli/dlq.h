#pragma once
/* What is done with dead letters beyond showing them; the API has them. */
#include <jansson.h>

int command_dlq_watch(int argc, char **argv);
int command_dlq_export(int argc, char **argv);
int command_dlq_review(int argc, char **argv);
int command_dlq_discard(int argc, char **argv);
int command_dlq_resolve(int argc, char **argv);
int command_dlq_reopen(int argc, char **argv);
int command_dlq_replay(int argc, char **argv);
int command_quarantine_analyze(int argc, char **argv);

/* A letter as files for other programs have it, under the guides' names where they have one. Owned by the caller. */
json_t *dlq_letter_json(const json_t *letter);
