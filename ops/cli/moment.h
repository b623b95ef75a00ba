#pragma once
/* Times as people say them on the command line. */
#include <stdbool.h>
#include <stdint.h>

#define MOMENT_TEXT "7d (s m h d w), or 2024-01-31[T23:59:59Z]"

/* A time, or how long ago that was; false: it is neither. */
bool moment_read(const char *text, int64_t now_ns, int64_t *ret_ns);
