/* Jobs and their files as the vendor shows them. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_out.h"
#include "ops/simulator/vendor/query.h"
#include "stages/fetcher/formats/dbn.h"

#define USER_ID "SIMULATR"
#define EXPIRES_DAYS 30
#define GIGABYTE 1e9

static void put_text(struct json_out *json, const char *key, const char *text)
{
	json_put_key(json, key);
	if (text)
		json_put_str(json, str_of(text));
	else
		json_put_null(json);
}

static void put_number(struct json_out *json, const char *key, int64_t value, bool known)
{
	json_put_key(json, key);
	if (known)
		json_put_int(json, value);
	else
		json_put_null(json);
}

static void put_flag(struct json_out *json, const char *key, bool value)
{
	json_put_key(json, key);
	json_put_bool(json, value);
}

/* 2022-05-17 00:00:00+00:00; 0: null. */
static void put_moment(struct json_out *json, const char *key, int64_t ns)
{
	char text[CLOCK_TEXT_MAX + 8];
	unsigned n = clock_format(ns, ns % NS_PER_SECOND ? 9 : 0, text);

	text[10] = ' ';
	snprintf(text + n - 1, sizeof(text) - n, "+00:00"); /* for the Z */
	put_text(json, key, ns ? text : NULL);
}

/* One is a text, several are a list. */
static void put_symbols(struct json_out *json, const struct query *q)
{
	struct str rest = str_of(q->symbols);

	json_put_key(json, "symbols");
	if (!memchr(rest.data, ',', rest.len)) {
		json_put_str(json, rest);
		return;
	}
	json_put_open(json, '[');
	while (rest.len > 0) {
		const char *comma = memchr(rest.data, ',', rest.len);
		uint32_t n = comma ? (uint32_t)(comma - rest.data) : rest.len;

		json_put_str(json, (struct str){ rest.data, n });
		n += comma != NULL;
		rest = (struct str){ rest.data + n, rest.len - n };
	}
	json_put_close(json, ']');
}

static void put_asked(struct json_out *json, const struct job *job)
{
	static const char *const encodings[] = { "dbn", "csv", "json" };
	const struct query *q = job->query;

	put_text(json, "dataset", q->dataset->name);
	put_symbols(json, q);
	put_text(json, "stype_in", dbn_stype_name(q->stype_in));
	put_text(json, "stype_out", dbn_stype_name(q->stype_out));
	put_text(json, "schema", dbn_schema_name(q->window.schema->number));
	put_moment(json, "start", q->window.start);
	put_moment(json, "end", q->window.end);
	put_number(json, "limit", (int64_t)q->window.limit, q->window.limit > 0);
	put_text(json, "encoding", encodings[q->encoding]);
	put_text(json, "compression", q->zstd ? "zstd" : NULL);
	put_flag(json, "pretty_px", q->style.pretty_price);
	put_flag(json, "pretty_ts", q->style.pretty_time);
	put_flag(json, "map_symbols", q->style.symbols);
	put_flag(json, "split_symbols", job->split_symbols);
	put_text(json, "split_duration", job_split_name(job->split));
	put_number(json, "split_size", (int64_t)job->split_size, job->split_size > 0);
	put_text(json, "packaging", NULL);
	put_text(json, "delivery", "download");
}

static void put_done(struct json_out *json, const struct job *job)
{
	const struct query *q = job->query;
	bool done = job->state == JOB_DONE;
	uint64_t billed = job->records * query_record_bytes(q);
	char cost[40];

	snprintf(cost, sizeof(cost), "%.12g",
		 (double)billed / GIGABYTE * dataset_unit_price(q->dataset, q->window.schema->number));
	json_put_key(json, "cost_usd");
	json_put_raw(json, done ? str_of(cost) : STR_LIT("null"));
	put_number(json, "record_count", (int64_t)job->records, done);
	put_number(json, "billed_size", (int64_t)billed, done);
	put_number(json, "actual_size", job->actual_size, done);
	put_number(json, "package_size", job->package_size, done);
	put_number(json, "progress", 100 * (int64_t)job->state / JOB_DONE, true);
}

void job_put(const struct job *job, struct json_out *json)
{
	json_put_open(json, '{');
	put_text(json, "id", job->id);
	put_text(json, "user_id", USER_ID);
	put_text(json, "bill_id", NULL);
	put_done(json, job);
	put_asked(json, job);
	put_text(json, "state", job_state_name(job->state));
	put_moment(json, "ts_received", job->at[JOB_RECEIVED]);
	put_moment(json, "ts_queued", job->at[JOB_QUEUED]);
	put_moment(json, "ts_process_start", job->at[JOB_PROCESSING]);
	put_moment(json, "ts_process_done", job->at[JOB_DONE]);
	put_moment(json, "ts_expiration", job->at[JOB_DONE] ? job->at[JOB_DONE] + EXPIRES_DAYS * NS_PER_DAY : 0);
	json_put_close(json, '}');
}

static void put_file(const struct job *job, const struct job_file *file, struct json_out *json)
{
	char text[512];

	json_put_open(json, '{');
	put_text(json, "filename", file->name);
	put_number(json, "size", file->size, true);
	snprintf(text, sizeof(text), "sha256:%s", file->sha256);
	put_text(json, "hash", text);
	json_put_key(json, "urls");
	json_put_open(json, '{');
	snprintf(text, sizeof(text), "%s/v0/batch/download/%s/%s", job->base_url, job->id, file->name);
	put_text(json, "https", text);
	json_put_close(json, '}');
	json_put_close(json, '}');
}

void job_put_files(const struct job *job, struct json_out *json)
{
	json_put_open(json, '[');
	for (uint32_t i = 0; i < job->file_count; i++)
		put_file(job, &job->files[i], json);
	json_put_close(json, ']');
}
