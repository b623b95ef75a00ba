/* A resource's rows as JSON or CSV, as long as they last: read from a cursor some at a time, while the client takes them. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/api/pool.h"
#include "stages/orchestrator/api/query_log.h"
#include "stages/orchestrator/api/rows.h"

#define ROWS 1000 /* at a time */
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)
#define STREAMS_MAX 8 /* at once: each holds a connection for as long as its client takes */
#define CHUNK_MAX (16 * 1024 * 1024)

static _Atomic int open_streams;

struct stream {
	struct pg *pg; /* in a transaction with the cursor */
	struct buf chunk;
	size_t at; /* of the chunk's bytes, so many are sent */
	bool csv, began, any, ended;
	char *list;
	struct query_log log;
	int64_t slow_ms;
};

static void stream_free(void *self)
{
	struct stream *s = self;

	query_log_end(&s->log, s->slow_ms);
	atomic_fetch_sub(&open_streams, 1);
	api_pool_give(&s->pg);
	buf_release(&s->chunk);
	free(s->list);
	free(s);
}

/* --- CSV (RFC 4180) ---------------------------------------------------------------------------------------------------------- */

static void put_csv(struct buf *out, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		buf_put_text(out, text);
		return;
	}
	buf_put_u8(out, '"');
	for (; *text; text++) {
		if (*text == '"')
			buf_put_u8(out, '"');
		buf_put_u8(out, (uint8_t)*text);
	}
	buf_put_u8(out, '"');
}

static void put_csv_head(struct buf *out, const struct pg_result *r)
{
	for (int column = 0; column < pg_columns(r); column++) {
		buf_put_text(out, column > 0 ? "," : "");
		put_csv(out, pg_column(r, column));
	}
	buf_put_text(out, "\r\n");
}

static void put_csv_row(struct buf *out, const struct pg_result *r, int row)
{
	char time[API_TIME_MAX];

	for (int column = 0; column < pg_columns(r); column++) {
		const char *text = pg_text(r, row, column);

		if (pg_column_type(r, column) == PG_TYPE_TIME && !pg_null(r, row, column))
			text = api_time(text, time);
		buf_put_text(out, column > 0 ? "," : "");
		put_csv(out, text);
	}
	buf_put_text(out, "\r\n");
}

/* --- JSON ------------------------------------------------------------------------------------------------------------------- */

static void put_json_row(struct stream *s, const struct pg_result *r, int row)
{
	struct json_out out = JSON_OUT(&s->chunk);

	buf_put_text(&s->chunk, s->any || row > 0 ? ",\n" : "\n");
	json_put_open(&out, '{');
	api_put_members(&out, r, row);
	json_put_close(&out, '}');
}

/* --- both ------------------------------------------------------------------------------------------------------------------- */

static void put_head(struct stream *s, const struct pg_result *r)
{
	if (s->csv)
		put_csv_head(&s->chunk, r);
	else
		buf_printf(&s->chunk, "{\"%s\": [", s->list);
}

static void put_rows(struct stream *s, const struct pg_result *r)
{
	for (int row = 0; row < pg_rows(r); row++) {
		if (s->csv)
			put_csv_row(&s->chunk, r, row);
		else
			put_json_row(s, r, row);
	}
	s->any = s->any || pg_rows(r) > 0;
}

static int next_chunk(struct stream *s, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int64_t began = clock_monotonic_ns();

	if (pg_query(s->pg, "FETCH " TEXT_OF(ROWS) " FROM rows", PG_NO_PARAMS, &r, err))
		return -1;
	s->log.database_ns += clock_monotonic_ns() - began;
	s->log.records += pg_rows(r);
	buf_reset(&s->chunk);
	s->at = 0;
	if (!s->began)
		put_head(s, r);
	s->began = true;
	put_rows(s, r);
	s->ended = pg_rows(r) < ROWS;
	if (s->ended && !s->csv)
		buf_put_text(&s->chunk, "\n]}\n");
	if (s->chunk.overflow)
		return err_set(err, ERR_FATAL, "%d rows are more than %d bytes", ROWS, CHUNK_MAX);
	return 0;
}

/* What was sent of an answer that breaks off is no whole body: the client is told by that. */
static ssize_t stream_read(void *self, char *to, size_t n)
{
	struct stream *s = self;
	struct err err = ERR_INIT;
	size_t left = s->chunk.len - s->at;

	if (left == 0 && s->ended)
		return 0;
	if (left == 0 && next_chunk(s, &err)) {
		log_err("api_stream_broken", &err);
		return -1;
	}
	left = s->chunk.len - s->at;
	if (left > n)
		left = n;
	memcpy(to, s->chunk.data + s->at, left);
	s->at += left;
	return (ssize_t)left;
}

static bool read_format(struct api_call *call, bool *ret_csv)
{
	const char *format = http_argument(call->request, "format");

	*ret_csv = format && strcmp(format, "csv") == 0;
	if (!format || *ret_csv || strcmp(format, "json") == 0)
		return true;
	return api_problem(call->response, 400, "format: json or csv"), false;
}

int api_stream(struct api_call *call, const struct resource *resource, const char *const *values, unsigned count,
	       struct err *err)
{
	CLEANUP(freep) char *sql = mem_printf("DECLARE rows NO SCROLL CURSOR FOR %s", resource->sql);
	struct stream *s;
	bool csv;

	if (!read_format(call, &csv))
		return 0;
	if (atomic_load(&open_streams) >= STREAMS_MAX)
		return api_problem(call->response, 503, "%d others are reading; try again later", STREAMS_MAX), 0;
	if (pg_begin(call->pg, err) || pg_query(call->pg, sql, values, count, NULL, err))
		return err_wrap(err, "resource %s", resource->name);
	s = mem_zalloc(1, sizeof(*s));
	atomic_fetch_add(&open_streams, 1);
	s->pg = STEAL(call->pg);
	s->csv = csv;
	s->list = mem_strdup(resource->list);
	s->slow_ms = config_int(call->cfg, "slow_query_ms");
	query_log_begin(&s->log, resource, values);
	s->chunk = (struct buf)BUF_INIT(CHUNK_MAX);
	call->response->stream = (struct http_stream){ stream_read, stream_free, s };
	call->response->content_type = csv ? "text/csv; charset=utf-8" : "application/json";
	if (next_chunk(s, err) == 0)
		return 0;
	stream_free(s);
	call->response->stream = (struct http_stream){ 0 };
	return -1;
}
