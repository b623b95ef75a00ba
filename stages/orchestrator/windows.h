#pragma once
/*
 * A subscription's time, cut into what one task fetches: at most a day, week
 * (from Monday), month or year, on boundaries of UTC, and only days that are
 * to be fetched.
 */
#include <stdint.h>

enum window_chunk { CHUNK_DAY, CHUNK_WEEK, CHUNK_MONTH, CHUNK_YEAR };
extern const char *const window_chunks[]; /* "day", …, by enum window_chunk; ends with NULL */

/* One of these names; that of no other is asked. */
enum window_chunk window_chunk_of(const char *name);

/* The day that the chunk after that of `day` begins with. */
int32_t window_next(enum window_chunk chunk, int32_t day);

/* All in ns. `until`: the window's end; `end` is before it where the vendor's data ends earlier. */
struct window {
	int64_t start, end, until;
};

/* What became of a window's days. */
struct window_days {
	int32_t first, last;
	int32_t full_to; /* the last that was fetched whole; first - 1: none */
	int32_t partial; /* the one after it where some of it was fetched; last + 1: none */
};

/* Of a window that was fetched up to covered_end. */
struct window_days window_days(const struct window *w, int64_t covered_end);

/*
 * Windows over `days` (ascending) between bounds->start and bounds->until,
 * none of them with anything at bounds->end or behind it. `ret` has room for
 * `count`; returns how many there are.
 */
unsigned windows_cut(const struct window *bounds, enum window_chunk chunk, const int32_t *days, unsigned count,
		     struct window *ret);
