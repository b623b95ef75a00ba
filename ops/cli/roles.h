#pragma once
/* Roles of the database: what schemas/roles.sql says, and what is granted. */
#include "common/err.h"
#include "common/pg.h"

/* Those roles that are there get what they should have, and nothing else; *ret_changes: how many statements that took. */
int roles_refresh(struct pg *pg, int *ret_changes, struct err *err);

int command_db_roles(int argc, char **argv);
