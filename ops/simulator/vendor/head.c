#include "ops/simulator/vendor/head.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "ops/simulator/dbn_head.h"

#define ID_TEXT_MAX 11 /* bytes with NUL */

/* Owns what the metadata's slices point into. */
struct head {
	const struct query *query;
	int32_t first_day, end_day;
	struct dbn_metadata metadata;
	char (*ids)[ID_TEXT_MAX];
};

static void head_release(struct head *head)
{
	free(head->metadata.symbols);
	free(head->metadata.partial);
	free(head->metadata.not_found);
	free(head->metadata.mappings);
	free(head->metadata.intervals);
	free(head->ids);
}

static void add_interval(struct head *head, int32_t first_day, int32_t end_day, uint32_t id, const char *raw)
{
	uint32_t i = head->metadata.interval_count++;

	snprintf(head->ids[i], ID_TEXT_MAX, "%" PRIu32, id);
	head->metadata.intervals[i] = (struct dbn_interval){
		first_day,
		end_day,
		str_of(head->query->stype_out == STYPE_RAW_SYMBOL ? raw : head->ids[i]),
	};
}

static void add_span(struct head *head, const struct span *span)
{
	int32_t day = span->first_day, first, end;
	uint32_t id;

	while (span_next_id(&head->query->resolution, span, &day, &first, &end, &id))
		if (first < head->end_day && end > head->first_day)
			add_interval(head, first, end, id, span->instrument->raw);
}

static void add_mapping(struct head *head, struct str symbol, const struct span *spans, uint32_t count)
{
	struct dbn_metadata *m = &head->metadata;
	struct dbn_mapping *mapping = &m->mappings[m->mapping_count];
	uint32_t before = m->interval_count;

	for (uint32_t i = 0; i < count; i++)
		add_span(head, &spans[i]);
	if (m->interval_count == before)
		return;
	*mapping = (struct dbn_mapping){ symbol, m->intervals + before, m->interval_count - before };
	m->mapping_count++;
}

/* A parent is mapped by its contracts, everything else by what was asked for. */
static void add_symbol(struct head *head, const struct resolved *of)
{
	struct dbn_metadata *m = &head->metadata;

	if (!head->query->resolution.all)
		m->symbols[m->symbol_count++] = str_of(of->symbol);
	if (of->found == FOUND_PARTIAL)
		m->partial[m->partial_count++] = str_of(of->symbol);
	if (of->found == FOUND_NOT)
		m->not_found[m->not_found_count++] = str_of(of->symbol);
	if (head->query->resolution.stype_in != STYPE_PARENT) {
		add_mapping(head, str_of(of->symbol), of->spans, of->count);
		return;
	}
	for (uint32_t i = 0; i < of->count; i++)
		add_mapping(head, str_of(of->spans[i].instrument->raw), &of->spans[i], 1);
}

/* At most so many intervals and mappings. */
static uint64_t count_intervals(const struct head *head, uint64_t *ret_spans)
{
	const struct resolution *r = &head->query->resolution;
	bool daily = r->instruments->dataset->kind == MARKET_EQUITIES;
	uint64_t intervals = 0;

	*ret_spans = 0;
	for (uint32_t i = 0; i < r->count; i++)
		for (uint32_t s = 0; s < r->list[i].count; s++) {
			int32_t first = r->list[i].spans[s].first_day, end = r->list[i].spans[s].end_day;

			first = first > head->first_day ? first : head->first_day;
			end = end < head->end_day ? end : head->end_day;
			++*ret_spans;
			intervals += daily && end > first ? (uint64_t)(end - first) : 1;
		}
	return intervals;
}

static int make_room(struct head *head, struct err *err)
{
	const struct resolution *r = &head->query->resolution;
	uint64_t spans, intervals = count_intervals(head, &spans);

	if ((spans + intervals) * DBN_SYMBOL_BYTES > 2 * (uint64_t)DBN_METADATA_MAX)
		return err_set(err, ERR_FATAL, "the symbols' ids of these days do not fit into the metadata");
	head->metadata.symbols = mem_zalloc(r->count + 1, sizeof(struct str));
	head->metadata.partial = mem_zalloc(r->count + 1, sizeof(struct str));
	head->metadata.not_found = mem_zalloc(r->count + 1, sizeof(struct str));
	head->metadata.mappings = mem_zalloc(r->count + spans + 1, sizeof(struct dbn_mapping));
	head->metadata.intervals = mem_zalloc(intervals + 1, sizeof(struct dbn_interval));
	head->ids = mem_zalloc(intervals + 1, ID_TEXT_MAX);
	return 0;
}

int query_put_head(const struct query *query, int64_t start, int64_t end, uint32_t symbol, struct buf *buf,
		   struct err *err)
{
	const struct resolution *r = &query->resolution;
	CLEANUP(head_release)
	struct head head = { query, (int32_t)(start / NS_PER_DAY), (int32_t)((end - 1) / NS_PER_DAY) + 1, { 0 }, NULL };

	if (make_room(&head, err))
		return -1;
	head.metadata.dataset = str_of(query->dataset->name);
	head.metadata.schema = query->window.schema->number;
	head.metadata.start = (uint64_t)start;
	head.metadata.end = (uint64_t)end;
	head.metadata.limit = query->window.limit;
	head.metadata.stype_in = query->stype_in;
	head.metadata.stype_out = query->stype_out;
	if (r->all && symbol == UINT32_MAX)
		head.metadata.symbols[head.metadata.symbol_count++] = STR_LIT("ALL_SYMBOLS");
	for (uint32_t i = 0; i < r->count; i++)
		if (symbol == UINT32_MAX || symbol == i)
			add_symbol(&head, &r->list[i]);
	return dbn_head_put(buf, &head.metadata, query->simulator->options.dbn_version, err);
}
