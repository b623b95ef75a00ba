#pragma once
/* When markets are open, from common/calendars.yaml, for SQL: etl.calendars. */
#include "common/pg.h"
#include "common/str.h"

#define CALENDARS_FILE "common/calendars.yaml" /* embedded */

/* Makes the table what the text says; `name` stands in errors. */
int calendars_store(struct pg *pg, const char *name, struct str yaml, struct err *err);
