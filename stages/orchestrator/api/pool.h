#pragma once
/* The API's connections to the database: one for each request while it is answered, kept for the next. */
#include "common/config.h"
#include "common/err.h"
#include "common/pg.h"

void api_pool_open(const struct config *cfg);

/* After the server has stopped. */
void api_pool_close(void);

int api_pool_take(struct pg **ret, struct err *err);

/* Rolls back what was begun. *pg may be NULL. */
void api_pool_give(struct pg **pg);
