#pragma once
/*
 * What stands between this process and its brokers: the last thing that
 * librdkafka said of a connection, as one sentence that names the broker, the
 * cause and the way out. The library's own answer to a call is only that it
 * failed. From any thread; one for the process, as its clients share their
 * configuration.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* A line of the library's log about a connection that failed. */
void kafka_trouble_log(const char *text);

/* The same of what is no broker, without "kafka: ". Final: nothing but another configuration mends it. */
void kafka_trouble_note(bool final, const char *text);

/* A broker answered. */
void kafka_trouble_over(void);

/* Whether there is one since then; one that only another configuration mends. */
bool kafka_trouble_is_known(void);
bool kafka_trouble_is_final(void);

/* "kafka: WHAT: …" instead of what *err says, where it is known; kind unchanged. what may be NULL. Always returns -1. */
int kafka_trouble_explain(const char *what, struct err *err);
