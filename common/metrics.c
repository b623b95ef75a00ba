#include "common/metrics.h"

#include <inttypes.h>

#include "common/mem.h"

static void put_head(const char *name, const char *type, const char *help, struct buf *out)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void render(struct metric *table, unsigned count, int64_t unit, struct buf *out)
{
	for (unsigned i = 0; i < count; i++) {
		struct metric *m = &table[i];

		if (i == 0 || strcmp(m->name, table[i - 1].name) != 0)
			put_head(m->name, m->type == METRIC_COUNTER ? "counter" : "gauge", m->help, out);
		buf_printf(out, "%s%s%s%s ", m->name, m->labels ? "{" : "", m->labels ? m->labels : "",
			   m->labels ? "}" : "");
		if (unit)
			buf_printf(out, "%.15g\n", (double)metric_get(m) / (double)unit);
		else
			buf_printf(out, "%" PRId64 "\n", metric_get(m));
	}
}

void metrics_render(struct metric *table, unsigned count, struct buf *out)
{
	render(table, count, 0, out);
}

/* --- families -------------------------------------------------------------------------------------------------------- */

struct metric *metric_family_row(struct metric_family *family, const char *labels)
{
	unsigned count = atomic_load_explicit(&family->count, memory_order_relaxed);
	struct metric *row;

	for (unsigned i = 0; i < count; i++)
		if (strcmp(family->rows[i].labels, labels) == 0)
			return &family->rows[i];
	if (count == family->max)
		return &family->rows[count - 1];
	row = &family->rows[count];
	row->name = family->name;
	row->labels = count + 1 == family->max ? family->others : mem_strdup(labels);
	row->type = family->type;
	row->help = family->help;
	/* Whoever sees the count sees the row. */
	atomic_store_explicit(&family->count, count + 1, memory_order_release);
	return row;
}

void metric_family_render(struct metric_family *family, struct buf *out)
{
	if (!atomic_load_explicit(&family->hidden, memory_order_relaxed))
		render(family->rows, atomic_load_explicit(&family->count, memory_order_acquire), family->unit, out);
}

/* --- histograms ------------------------------------------------------------------------------------------------------ */

void histogram_observe(struct histogram *histogram, int64_t value)
{
	unsigned i = 0;

	while (i < histogram->bound_count && value > histogram->bounds[i])
		i++;
	atomic_fetch_add_explicit(&histogram->counts[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
}

/* The count is that of the buckets, so that both agree while others observe. */
void histogram_render(struct histogram *h, struct buf *out)
{
	double unit = (double)h->unit;
	int64_t count = 0;

	put_head(h->name, "histogram", h->help, out);
	for (unsigned i = 0; i < h->bound_count; i++) {
		count += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
		buf_printf(out, "%s_bucket{le=\"%g\"} %" PRId64 "\n", h->name, (double)h->bounds[i] / unit, count);
	}
	count += atomic_load_explicit(&h->counts[h->bound_count], memory_order_relaxed);
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n", h->name, count);
	buf_printf(out, "%s_sum %.15g\n", h->name, (double)atomic_load_explicit(&h->sum, memory_order_relaxed) / unit);
	buf_printf(out, "%s_count %" PRId64 "\n", h->name, count);
}
