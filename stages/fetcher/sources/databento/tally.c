#include "stages/fetcher/sources/databento/tally.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define SLOTS (TALLY_MAX * 2) /* a power of two */

struct tally_entry {
	char *symbol; /* NULL: free */
	uint32_t symbol_len;
	int32_t day;
	int64_t records;
};

static uint32_t slot_of(struct str symbol, int32_t day)
{
	uint32_t hash = 2166136261u ^ (uint32_t)day;

	for (uint32_t i = 0; i < symbol.len; i++)
		hash = (hash ^ (uint8_t)symbol.data[i]) * 16777619u;
	return hash;
}

static bool is_it(const struct tally_entry *e, struct str symbol, int32_t day)
{
	return e->day == day && e->symbol_len == symbol.len && memcmp(e->symbol, symbol.data, symbol.len) == 0;
}

void tally_add(struct tally *tally, struct str symbol, int64_t index)
{
	int32_t day = clock_day_of(index);
	struct tally_entry *e;

	if (tally->incomplete)
		return;
	if (!tally->entries)
		tally->entries = mem_zalloc(SLOTS, sizeof(*tally->entries));
	for (uint32_t at = slot_of(symbol, day);; at++) {
		e = &tally->entries[at % SLOTS];
		if (!e->symbol || is_it(e, symbol, day))
			break;
	}
	if (!e->symbol) {
		if (tally->count == TALLY_MAX) {
			tally->incomplete = true;
			return;
		}
		tally->count++;
		*e = (struct tally_entry){ mem_strndup(symbol.data, symbol.len), symbol.len, day, 0 };
	}
	e->records++;
}

void tally_release(struct tally *tally)
{
	for (uint32_t i = 0; tally->entries && i < SLOTS; i++)
		free(tally->entries[i].symbol);
	free(tally->entries);
	*tally = (struct tally){ 0 };
}

void tally_put(const struct tally *tally, struct json_out *out)
{
	char day[CLOCK_TEXT_MAX];

	if (tally->incomplete) {
		json_put_null(out);
		return;
	}
	json_put_open(out, '[');
	for (uint32_t i = 0; tally->entries && i < SLOTS; i++) {
		const struct tally_entry *e = &tally->entries[i];

		if (!e->symbol)
			continue;
		clock_format_date(e->day, day);
		json_put_open(out, '{');
		json_put_key(out, "symbol");
		json_put_str(out, (struct str){ e->symbol, e->symbol_len });
		json_put_key(out, "date");
		json_put_str(out, str_of(day));
		json_put_key(out, "records");
		json_put_int(out, e->records);
		json_put_close(out, '}');
	}
	json_put_close(out, ']');
}
