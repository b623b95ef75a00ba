#include "ops/simulator/market/stream.h"

#include <stdlib.h>

#include "common/mem.h"

struct stream {
	struct market market;
	struct stream_window window;
	struct defects defects;
	struct series *series;
	uint32_t count;
	uint32_t *active; /* the series of this day */
	uint32_t active_count, at;
	int32_t day; /* that active is of */
	int64_t slot;
	struct batch batch;
	uint32_t taken; /* of the batch */
	uint64_t records;
};

static void enter_day(struct stream *stream, int32_t day)
{
	stream->day = day;
	stream->active_count = 0;
	if (!calendar_is_trading_day(day))
		return;
	for (uint32_t i = 0; i < stream->count; i++)
		if (day >= stream->series[i].first_day && day < stream->series[i].end_day)
			stream->active[stream->active_count++] = i;
}

struct stream *stream_open(const struct market *market, const struct stream_window *window, struct series *series,
			   uint32_t count, const struct defects *defects)
{
	struct stream *stream = mem_zalloc(1, sizeof(*stream));

	stream->market = *market;
	stream->window = *window;
	stream->defects = *defects;
	stream->series = series;
	stream->count = count;
	stream->active = mem_alloc((count + 1) * sizeof(*stream->active));
	stream->slot = window->start / window->schema->slot_ns * window->schema->slot_ns;
	enter_day(stream, (int32_t)(stream->slot / NS_PER_DAY));
	return stream;
}

void stream_freep(struct stream **stream)
{
	struct stream *self = *stream;

	*stream = NULL;
	if (!self)
		return;
	batch_release(&self->batch);
	free(self->active);
	free(self->series);
	free(self);
}

static int compare_times(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->ts_recv != y->ts_recv)
		return x->ts_recv < y->ts_recv ? -1 : 1;
	if (x->instrument_id != y->instrument_id)
		return x->instrument_id < y->instrument_id ? -1 : 1;
	return x->publisher_id < y->publisher_id ? -1 : x->publisher_id > y->publisher_id;
}

static void next_slot(struct stream *stream)
{
	int32_t day;

	stream->at = 0;
	stream->slot += stream->window.schema->slot_ns;
	if (stream->active_count == 0) /* nothing more today */
		stream->slot = (int64_t)(stream->day + 1) * NS_PER_DAY;
	day = (int32_t)(stream->slot / NS_PER_DAY);
	if (day != stream->day)
		enter_day(stream, day);
}

static bool slot_is_closed(const struct stream *stream)
{
	return stream->window.schema->slot_ns == MINUTE_NS &&
	       !calendar_is_open(stream->market.dataset->kind, stream->day,
				 (uint32_t)(stream->slot % NS_PER_DAY / MINUTE_NS));
}

/* The records of the next series, or of all of them in the slot. */
static void make_some(struct stream *stream)
{
	const struct schema *schema = stream->window.schema;
	uint32_t end = schema->merged ? stream->active_count : stream->at + 1;

	stream->batch.count = stream->taken = 0;
	if (stream->at >= stream->active_count || slot_is_closed(stream)) {
		next_slot(stream);
		return;
	}
	for (; stream->at < end; stream->at++)
		schema->make(&stream->market, &stream->series[stream->active[stream->at]], stream->slot,
			     &stream->batch);
	if (schema->merged && stream->batch.count > 1)
		qsort(stream->batch.list, stream->batch.count, sizeof(*stream->batch.list), compare_times);
}

bool stream_next(struct stream *stream, struct record *ret)
{
	const struct stream_window *window = &stream->window;

	if (window->limit > 0 && stream->records == window->limit)
		return false;
	for (;;) {
		while (stream->taken == stream->batch.count) {
			if (stream->slot >= window->end)
				return false;
			make_some(stream);
		}
		*ret = stream->batch.list[stream->taken++];
		if (ret->ts_recv >= window->start && ret->ts_recv < window->end)
			break;
	}
	stream->records++;
	defects_apply(&stream->defects, window->schema->number, ret);
	return true;
}
