#pragma once
/* Times as requests write them: ISO 8601 down to any part, with or without an offset, or nanoseconds since 1970. */
#include <stdbool.h>
#include <stdint.h>

/* *ret_next: the time carried forward by its own resolution (a date: the next day). False: it is no time. */
bool moment_parse(const char *text, int64_t *ret_ns, int64_t *ret_next);
