#pragma once
/*
 * The order in which a batch's rows are written: those of one symbol together,
 * symbols in the order of their bytes, a symbol's rows as they came. A topic
 * has them minute by minute, each of another symbol; written so, every row is
 * on another page of the table's index than the one before it.
 */
#include <stdint.h>

#include "common/str.h"

struct order;

struct order *order_new(void);
void order_freep(struct order **order);

/* The next row, by its symbol: the message's key. */
void order_add(struct order *order, struct str symbol);

/* The places of all rows that were added, 0 the first; valid until the next call of any. */
const int32_t *order_rows(struct order *order);

void order_reset(struct order *order);
