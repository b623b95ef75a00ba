#pragma once
/* A record's fields from text, as JSON and tables show it. */
#include "common/record.h"

/*
 * Numbers whole, decimals exact, times and days in ISO form or as their
 * number, true and false. NULL: null. A string is a slice of the text. False
 * where it is no value of the field: also null, where that cannot be it.
 */
bool record_put_text(void *record, const struct record_field *field, const char *text);
