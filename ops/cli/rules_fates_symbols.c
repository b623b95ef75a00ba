#include "ops/cli/rules_fates_symbols.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash.h"
#include "common/mem.h"

#define FIRST_SIZE 1024
#define SYMBOLS_MAX 1000000
#define NAME_MAX_BYTES 255 /* what is longer is no symbol, and counts as its beginning */
#define OTHERS "(others)"

/* Open addressing, at most half full. */
struct entry {
	char *name; /* NULL: free */
	uint32_t len;
	uint64_t hash;
	int64_t records[CHANGES];
};

struct fate_symbols {
	struct entry *entries;
	size_t size, count; /* size: a power of two */
};

struct fate_symbols *fate_symbols_new(void)
{
	struct fate_symbols *symbols = mem_zalloc(1, sizeof(*symbols));

	symbols->size = FIRST_SIZE;
	symbols->entries = mem_zalloc(symbols->size, sizeof(*symbols->entries));
	return symbols;
}

void fate_symbols_freep(struct fate_symbols **symbols)
{
	if (!*symbols)
		return;
	for (size_t i = 0; i < (*symbols)->size; i++)
		free((*symbols)->entries[i].name);
	free((*symbols)->entries);
	free(*symbols);
	*symbols = NULL;
}

/* The name's entry, or the free one where it belongs. */
static struct entry *find(struct fate_symbols *symbols, struct str name, uint64_t hash)
{
	for (size_t at = hash & (symbols->size - 1);; at = (at + 1) & (symbols->size - 1)) {
		struct entry *entry = &symbols->entries[at];

		if (!entry->name ||
		    (entry->hash == hash && entry->len == name.len && memcmp(entry->name, name.data, name.len) == 0))
			return entry;
	}
}

static void grow(struct fate_symbols *symbols)
{
	CLEANUP(freep) struct entry *old = symbols->entries;
	size_t size = symbols->size;

	symbols->size *= 2;
	symbols->entries = mem_zalloc(symbols->size, sizeof(*symbols->entries));
	for (size_t i = 0; i < size; i++)
		if (old[i].name)
			*find(symbols, (struct str){ old[i].name, old[i].len }, old[i].hash) = old[i];
}

static struct entry *entry_of(struct fate_symbols *symbols, struct str name)
{
	uint64_t hash = hash_bytes(name.data, name.len);
	struct entry *entry = find(symbols, name, hash);

	if (entry->name)
		return entry;
	if (symbols->count == SYMBOLS_MAX)
		return entry_of(symbols, STR_LIT(OTHERS));
	if (2 * symbols->count >= symbols->size) {
		grow(symbols);
		entry = find(symbols, name, hash);
	}
	symbols->count++;
	*entry = (struct entry){ .name = mem_strndup(name.data, name.len), .len = name.len, .hash = hash };
	return entry;
}

void fate_symbols_count(struct fate_symbols *symbols, struct str name, enum fate_change change, int64_t records)
{
	if (name.len > NAME_MAX_BYTES)
		name.len = NAME_MAX_BYTES;
	entry_of(symbols, name)->records[change] += records;
}

void fate_symbols_add(struct fate_symbols *symbols, const struct fate_symbols *other)
{
	for (size_t i = 0; i < other->size; i++)
		for (unsigned change = 0; change < CHANGES; change++)
			if (other->entries[i].name && other->entries[i].records[change] > 0)
				fate_symbols_count(symbols,
						   (struct str){ other->entries[i].name, other->entries[i].len },
						   (enum fate_change)change, other->entries[i].records[change]);
}

/* --- sorted ------------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct fate_symbol *x = a, *y = b;

	return x->records == y->records ? strcmp(x->name, y->name) : x->records < y->records ? 1 : -1;
}

static char *text_of(const struct entry *entry)
{
	const struct str name = { entry->name, entry->len };
	char shown[STR_SHOWN_MAX];

	return str_is_text(name) ? mem_strndup(name.data, name.len) : mem_strdup(str_show(name, shown));
}

struct fate_symbol *fate_symbols_sorted(const struct fate_tally *tally, enum fate_change change, size_t *ret_count)
{
	const struct fate_symbols *symbols = tally->symbols;
	struct fate_symbol *list = mem_zalloc(symbols->count + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < symbols->size; i++)
		if (symbols->entries[i].name && symbols->entries[i].records[change] > 0)
			list[n++] = (struct fate_symbol){ text_of(&symbols->entries[i]),
							  symbols->entries[i].records[change] };
	qsort(list, n, sizeof(*list), compare);
	*ret_count = n;
	return list;
}

void fate_symbols_drop(struct fate_symbol *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].name);
	free(list);
}
