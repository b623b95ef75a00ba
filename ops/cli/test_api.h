#pragma once
/* Is a vendor's API there, and does it take our key? */
#include "common/buf.h"

/* 1: it does, 0: it does not, -1: no key is configured. What was found last, or went wrong, is appended as text. */
int test_api_databento(const char *config, struct buf *ret);
