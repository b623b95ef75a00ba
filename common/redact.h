#pragma once
/*
 * The second line of defence against secrets in logs, dead letters and
 * answers: nothing writes them on purpose, but a server's or a library's
 * error text may repeat what it was given. Every error and log line passes
 * here.
 */
#include <stdbool.h>

/* Shorter ones are not looked for: they would be found in everything. */
#define REDACT_MIN 6

/* Kept for the life of the process, up to 32 of them; from any thread. */
void redact_add(const char *secret);

/* The password in a libpq connection string or URI, as it stands there and decoded. */
void redact_add_dsn(const char *dsn);

/* Whether that has a password in it at all. */
bool redact_is_secret_dsn(const char *dsn);

/* Whether one of the secrets is in it. */
bool redact_finds(const char *text);

/* Each becomes "***", in place. */
void redact(char *text);
