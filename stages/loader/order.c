#include "stages/loader/order.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/hash.h"
#include "common/mem.h"

#define TEXT_MAX ((size_t)256 * 1024 * 1024)
#define SLOTS_FIRST 1024 /* a power of two */
#define NO_SYMBOL UINT32_MAX

struct symbol {
	size_t at; /* in `text`; the next one's is where it ends */
	uint32_t len, rows;
	uint32_t next; /* while they are put in order: where its next row comes */
	uint64_t hash;
};

struct order {
	struct buf text;
	struct symbol *symbols;
	uint32_t symbol_count, symbol_cap;
	uint32_t *slots; /* open addressing by hash: a symbol's place, or NO_SYMBOL */
	uint32_t slot_count;
	uint32_t *of_row; /* each row's symbol */
	int32_t *sorted;
	uint32_t row_count, row_cap;
};

struct order *order_new(void)
{
	struct order *order = mem_zalloc(1, sizeof(*order));

	order->text = (struct buf)BUF_INIT(TEXT_MAX);
	order->slot_count = SLOTS_FIRST;
	order->slots = mem_realloc(NULL, SLOTS_FIRST, sizeof(*order->slots));
	order_reset(order);
	return order;
}

void order_freep(struct order **pointer)
{
	struct order *order = *pointer;

	if (!order)
		return;
	buf_release(&order->text);
	free(order->symbols);
	free(order->slots);
	free(order->of_row);
	free(order->sorted);
	free(order);
	*pointer = NULL;
}

void order_reset(struct order *order)
{
	buf_reset(&order->text);
	memset(order->slots, 0xff, order->slot_count * sizeof(*order->slots));
	order->symbol_count = order->row_count = 0;
}

/* --- rows ------------------------------------------------------------------------------------------------------------ */

static struct str text_of(const struct order *order, const struct symbol *symbol)
{
	return (struct str){ (const char *)order->text.data + symbol->at, symbol->len };
}

/* Where the symbol is, or is to be. */
static uint32_t *slot_of(const struct order *order, struct str symbol, uint64_t hash)
{
	for (uint32_t i = (uint32_t)hash;; i++) {
		uint32_t *slot = &order->slots[i & (order->slot_count - 1)];
		const struct symbol *found = *slot == NO_SYMBOL ? NULL : &order->symbols[*slot];

		if (!found || (found->hash == hash && str_eq(text_of(order, found), symbol)))
			return slot;
	}
}

static void grow_slots(struct order *order)
{
	order->slot_count *= 2;
	order->slots = mem_realloc(order->slots, order->slot_count, sizeof(*order->slots));
	memset(order->slots, 0xff, order->slot_count * sizeof(*order->slots));
	for (uint32_t i = 0; i < order->symbol_count; i++)
		*slot_of(order, text_of(order, &order->symbols[i]), order->symbols[i].hash) = i;
}

static uint32_t new_symbol(struct order *order, struct str symbol, uint64_t hash)
{
	if (order->symbol_count == order->symbol_cap) {
		order->symbol_cap = order->symbol_cap ? order->symbol_cap * 2 : SLOTS_FIRST;
		order->symbols = mem_realloc(order->symbols, order->symbol_cap, sizeof(*order->symbols));
	}
	order->symbols[order->symbol_count] = (struct symbol){ order->text.len, symbol.len, 0, 0, hash };
	buf_put_str(&order->text, symbol);
	return order->symbol_count++;
}

static uint32_t symbol_of(struct order *order, struct str symbol)
{
	uint64_t hash = hash_bytes(symbol.data, symbol.len);
	uint32_t *slot;

	if (order->symbol_count >= order->slot_count / 2)
		grow_slots(order);
	slot = slot_of(order, symbol, hash);
	if (*slot == NO_SYMBOL)
		*slot = new_symbol(order, symbol, hash);
	return *slot;
}

void order_add(struct order *order, struct str symbol)
{
	uint32_t found = symbol_of(order, symbol);

	if (order->row_count == order->row_cap) {
		order->row_cap = order->row_cap ? order->row_cap * 2 : SLOTS_FIRST;
		order->of_row = mem_realloc(order->of_row, order->row_cap, sizeof(*order->of_row));
		order->sorted = mem_realloc(order->sorted, order->row_cap, sizeof(*order->sorted));
	}
	order->symbols[found].rows++;
	order->of_row[order->row_count++] = found;
}

/* --- their order ----------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b, void *context)
{
	const struct order *order = context;
	struct str left = text_of(order, &order->symbols[*(const uint32_t *)a]);
	struct str right = text_of(order, &order->symbols[*(const uint32_t *)b]);
	uint32_t both = left.len < right.len ? left.len : right.len;
	int difference = both ? memcmp(left.data, right.data, both) : 0;

	return difference ? difference : left.len < right.len ? -1 : left.len > right.len;
}

/* Counted, so each row has its place at once. */
const int32_t *order_rows(struct order *order)
{
	uint32_t *by_text = mem_alloc((order->symbol_count + 1) * sizeof(*by_text));
	uint32_t next = 0;

	for (uint32_t i = 0; i < order->symbol_count; i++)
		by_text[i] = i;
	qsort_r(by_text, order->symbol_count, sizeof(*by_text), compare, order);
	for (uint32_t i = 0; i < order->symbol_count; i++) {
		order->symbols[by_text[i]].next = next;
		next += order->symbols[by_text[i]].rows;
	}
	for (uint32_t row = 0; row < order->row_count; row++)
		order->sorted[order->symbols[order->of_row[row]].next++] = (int32_t)row;
	free(by_text);
	return order->sorted;
}
