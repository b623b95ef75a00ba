#pragma once
/*
 * Where the symbols of one ts_recv stay, as ties.h needs them: read from a
 * window that moves on, each is kept once. A new ts_recv begins with an empty
 * shelf.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

#define SYMBOL_SHELF_COUNT_MAX 16384
#define SYMBOL_SHELF_BYTES_MAX (1024u * 1024u)

struct symbol_shelf_slot {
	uint32_t generation; /* taken where it is the current one */
	struct str symbol;
};

struct symbol_shelf {
	int64_t ts_recv;
	uint32_t generation, count;
	size_t len;
	char *text; /* NULL: nothing was put on it */
	struct symbol_shelf_slot *slots;
};

/* The symbol where it stays; empty where the shelf is full. */
struct str symbol_shelf_put(struct symbol_shelf *shelf, int64_t ts_recv, struct str symbol);
void symbol_shelf_release(struct symbol_shelf *shelf);
