#pragma once
/*
 * Bars of months, where TimescaleDB keeps them materialised: its policy looks
 * at the last three months, so what was written into older ones, or removed
 * from them, is refreshed by us (etl.touched).
 */
#include <stdbool.h>

#include "common/err.h"
#include "common/pg.h"

/* Outside of any transaction. *ret_refreshed: something was touched. */
int monthly_refresh(struct pg *pg, bool *ret_refreshed, struct err *err);
