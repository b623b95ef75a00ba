#include "stages/loader/spans.h"

#include <stdlib.h>

#define FEW 5  /* rows of a series, of which nobody can say what is usual */
#define EVEN 4 /* times the mean step: there is no gap */
#define FAR 16 /* times the usual step: a gap. Reading so many rows of the table costs what another look does */

static int by_time(const void *a, const void *b)
{
	const struct span_row *x = a, *y = b;

	return (x->time > y->time) - (x->time < y->time);
}

/* They mostly are already. */
static void sort_by_time(struct span_row *rows, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		if (rows[i].time < rows[i - 1].time) {
			qsort(rows, count, sizeof(*rows), by_time);
			return;
		}
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* A longer one is a gap. The usual step is the median. */
static int64_t longest_step(const struct span_row *rows, uint32_t count, int64_t *steps)
{
	int64_t longest = 0, whole = rows[count - 1].time - rows[0].time;

	if (count <= FEW)
		return 0;
	for (uint32_t i = 1; i < count; i++) {
		steps[i - 1] = rows[i].time - rows[i - 1].time;
		if (steps[i - 1] > longest)
			longest = steps[i - 1];
	}
	if (longest <= whole / (count - 1) * EVEN)
		return INT64_MAX;
	qsort(steps, count - 1, sizeof(*steps), by_size);
	return steps[(count - 2) / 2] * FAR;
}

static uint32_t cut_series(struct span_row *rows, uint32_t first, uint32_t end, int64_t *steps, struct span *spans)
{
	uint32_t count = 0;
	int64_t longest;

	sort_by_time(rows + first, end - first);
	longest = longest_step(rows + first, end - first, steps);
	for (uint32_t i = first; i < end; i++) {
		if (i == first || rows[i].time - rows[i - 1].time > longest)
			spans[count++] = (struct span){ .first = i };
		spans[count - 1].count++;
	}
	return count;
}

uint32_t spans_cut(struct span_row *rows, uint32_t count, int64_t *steps, struct span *spans)
{
	uint32_t first = 0, found = 0;

	for (uint32_t i = 1; i <= count; i++)
		if (i == count || rows[i].begins) {
			found += cut_series(rows, first, i, steps, spans + found);
			first = i;
		}
	return found;
}

struct span_row *span_row_at(struct span_row *rows, uint32_t count, int64_t time)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (rows[middle].time < time)
			low = middle + 1;
		else
			high = middle;
	}
	return rows + low;
}
