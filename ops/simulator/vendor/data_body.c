#include "ops/simulator/vendor/data_body.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "common/mem.h"
#include "ops/simulator/vendor/head.h"
#include "stages/fetcher/formats/dbn.h"

#define PIECE_BYTES (64 * 1024)
#define PIECE_MAX (DBN_METADATA_MAX + 1024 * 1024)
#define ZSTD_LEVEL 1

struct data_body {
	struct query query;
	bool owns_query;
	struct stream *stream;
	struct meter_place place;
	struct buf plain; /* encoded */
	struct buf ready; /* to be sent */
	size_t sent;      /* of ready */
	ZSTD_CCtx *zstd;
	bool ended;
	uint64_t *ret_records;
};

static void release(void *self)
{
	struct data_body *body = self;

	stream_freep(&body->stream);
	buf_release(&body->plain);
	buf_release(&body->ready);
	ZSTD_freeCCtx(body->zstd);
	if (body->owns_query)
		query_release(&body->query);
	free(body);
}

static void put_record(struct data_body *body, const struct record *record)
{
	const struct query *q = &body->query;

	switch (q->encoding) {
	case ENCODING_DBN:
		record_put_dbn(&body->plain, record, q->layout, q->simulator->options.dbn_version);
		break;
	case ENCODING_CSV:
		record_put_csv(&body->plain, record, q->layout, &q->style);
		break;
	case ENCODING_JSON:
		record_put_json(&body->plain, record, q->layout, &q->style);
		break;
	}
}

static void fill_plain(struct data_body *body)
{
	struct record record;
	uint64_t records = 0;

	while (body->plain.len < PIECE_BYTES && !body->ended) {
		body->ended = !stream_next(body->stream, &record);
		if (body->ended)
			break;
		put_record(body, &record);
		records++;
	}
	if (body->ret_records)
		*body->ret_records += records;
	meter_add(&body->place, records, records * query_record_bytes(&body->query));
}

static bool compress(struct data_body *body)
{
	ZSTD_inBuffer in = { body->plain.data, body->plain.len, 0 };
	ZSTD_EndDirective end = body->ended ? ZSTD_e_end : ZSTD_e_continue;
	size_t rest;

	do {
		uint8_t *room = buf_room(&body->ready, PIECE_BYTES);
		ZSTD_outBuffer out = { room, PIECE_BYTES, 0 };

		rest = room ? ZSTD_compressStream2(body->zstd, &out, &in, end) : (size_t)-1;
		if (ZSTD_isError(rest))
			return false;
		body->ready.len += out.pos;
	} while (in.pos < in.size || (body->ended && rest > 0));
	return true;
}

static bool make_ready(struct data_body *body)
{
	struct buf swap;

	body->sent = 0;
	buf_reset(&body->ready);
	fill_plain(body);
	if (body->zstd) {
		if (!compress(body))
			return false;
	} else {
		swap = body->ready;
		body->ready = body->plain;
		body->plain = swap;
	}
	buf_reset(&body->plain);
	return true;
}

static ssize_t read_data(void *self, uint8_t *to, size_t max)
{
	struct data_body *body = self;
	size_t n;

	while (body->sent == body->ready.len) {
		if (body->ended)
			return 0;
		if (!make_ready(body))
			return -1;
	}
	n = body->ready.len - body->sent;
	n = n < max ? n : max;
	memcpy(to, body->ready.data + body->sent, n);
	body->sent += n;
	return (ssize_t)n;
}

static struct meter_place enter_meter(const struct query *q)
{
	struct meter_window window = {
		.dataset = q->dataset->name,
		.schema = dbn_schema_name(q->window.schema->number),
		.start = q->window.start,
		.end = q->window.end,
	};

	memcpy(window.key, q->key, sizeof(window.key));
	snprintf(window.symbols, sizeof(window.symbols), "%s", q->symbols);
	return meter_enter(&q->simulator->meter, &window);
}

int data_body_open(struct body *ret, struct query *query, const struct data_part *part, struct query *owned,
		   struct err *err)
{
	struct data_body *body = mem_zalloc(1, sizeof(*body));

	body->query = *query;
	body->plain = (struct buf)BUF_INIT(PIECE_MAX);
	body->ready = (struct buf)BUF_INIT(PIECE_MAX);
	if (query->encoding == ENCODING_CSV)
		record_put_csv_head(&body->plain, query->layout, &query->style);
	if (query->encoding == ENCODING_DBN &&
	    query_put_head(query, part->start, part->end, part->symbol, &body->plain, err)) {
		release(body);
		return -1;
	}
	if (query->zstd)
		body->zstd = ZSTD_createCCtx();
	if (body->zstd)
		ZSTD_CCtx_setParameter(body->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	body->stream = query_stream(&body->query, part->start, part->end, part->symbol);
	body->place = enter_meter(query);
	body->ret_records = part->ret_records;
	body->owns_query = owned != NULL;
	if (owned)
		*owned = (struct query){ 0 };
	*ret = (struct body){ read_data, release, body, BODY_SIZE_UNKNOWN };
	return 0;
}
