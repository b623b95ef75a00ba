#pragma once
/* Rows for people: a table, as wide as what is in it, on a terminal with colours and through a pager. */
#include <jansson.h>
#include <stdbool.h>

struct table;

/* columns: names of members, separated by spaces, in their order; NULL: all that the first row has. */
struct table *table_new(const char *columns);
void table_freep(struct table **table);

void table_add(struct table *table, const json_t *row);

/* Prints what was added since; the first time with a head. */
void table_print(struct table *table);

/* Starts a pager where stdout is a terminal; pager_close() waits for it. PENSTOCK_PAGER, or PAGER; "" or "cat": none. */
void pager_open(void);
void pager_close(void);

/* Colours: on a terminal only, and not where NO_COLOR is set (no-color.org). */
bool terminal_has_colours(void);
