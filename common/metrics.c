#include "common/metrics.h"

#include <inttypes.h>

void metrics_render(struct metric *table, unsigned count, struct buf *out)
{
	for (unsigned i = 0; i < count; i++) {
		const struct metric *m = &table[i];

		if (i == 0 || strcmp(m->name, table[i - 1].name) != 0)
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
				   m->type == METRIC_COUNTER ? "counter" : "gauge");
		buf_printf(out, "%s%s%s%s %" PRId64 "\n", m->name, m->labels ? "{" : "", m->labels ? m->labels : "",
			   m->labels ? "}" : "", atomic_load_explicit(&m->value, memory_order_relaxed));
	}
}
