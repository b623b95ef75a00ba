/* A job's files: the data, split as asked for, then what describes it. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/mem.h"
#include "ops/simulator/vendor/calls.h"
#include "ops/simulator/vendor/data_body.h"
#include "stages/fetcher/formats/dbn.h"

#define PIECE_BYTES (64 * 1024)
#define LAST_DAY 100000 /* behind everything */
#define SUNDAY_OFFSET 4 /* days from a Sunday to 1970-01-01 */

/* --- one file ---------------------------------------------------------------------------------------------------- */

struct output {
	struct job_file *file;
	int fd;
	EVP_MD_CTX *digest;
};

static void output_release(struct output *output)
{
	if (output->fd >= 0)
		close(output->fd);
	EVP_MD_CTX_free(output->digest);
}

static int output_open(struct output *output, struct job *job, const char *name, struct err *err)
{
	CLEANUP(freep) char *path = mem_printf("%s/%s", job->folder, name);

	if (job->file_count == JOB_FILES_MAX)
		return err_set(err, ERR_RETRY, "more than %d files", JOB_FILES_MAX);
	if (job->file_count % 64 == 0)
		job->files = mem_realloc(job->files, job->file_count + 64, sizeof(*job->files));
	output->file = &job->files[job->file_count++];
	*output->file = (struct job_file){ 0 };
	snprintf(output->file->name, sizeof(output->file->name), "%s", name);
	output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	output->digest = EVP_MD_CTX_new();
	if (output->fd < 0 || !output->digest || EVP_DigestInit_ex(output->digest, EVP_sha256(), NULL) != 1)
		return err_set(err, ERR_RETRY, "%s: %s", path, strerror(errno));
	return 0;
}

static int output_put(struct output *output, const uint8_t *bytes, size_t n, struct err *err)
{
	EVP_DigestUpdate(output->digest, bytes, n);
	output->file->crc32 = (uint32_t)crc32(output->file->crc32, bytes, (uInt)n);
	output->file->size += (int64_t)n;
	while (n > 0) {
		ssize_t done = write(output->fd, bytes, n);

		if (done < 0 && errno != EINTR)
			return err_set(err, ERR_RETRY, "%s: %s", output->file->name, strerror(errno));
		if (done > 0) {
			bytes += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

static void output_close(struct output *output)
{
	unsigned char hash[32] = { 0 };

	EVP_DigestFinal_ex(output->digest, hash, NULL);
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(output->file->sha256 + 2 * i, 3, "%02x", hash[i]);
}

static int write_body(struct job *job, const char *name, struct body *body, struct err *err)
{
	CLEANUP(output_release) struct output output = { .fd = -1 };
	uint8_t piece[PIECE_BYTES];
	ssize_t n;

	if (output_open(&output, job, name, err))
		return -1;
	while ((n = body->read(body->self, piece, sizeof(piece))) > 0)
		if (output_put(&output, piece, (size_t)n, err))
			return -1;
	if (n < 0)
		return err_set(err, ERR_RETRY, "%s: cannot be made", name);
	output_close(&output);
	return 0;
}

/* --- data -------------------------------------------------------------------------------------------------------- */

/* The first day of the part behind the one that holds the day. */
static int32_t next_part(enum job_split split, int32_t day)
{
	struct civil c = clock_civil(day);

	switch (split) {
	case SPLIT_DAY:
		return day + 1;
	case SPLIT_WEEK:
		return day + 7 - ((day + SUNDAY_OFFSET) % 7);
	case SPLIT_MONTH:
		return clock_days((struct civil){ c.year + (c.month == 12), (uint8_t)(c.month % 12 + 1), 1 });
	case SPLIT_YEAR:
		return clock_days((struct civil){ c.year + 1, 1, 1 });
	default:
		return LAST_DAY;
	}
}

static void put_compact_day(struct buf *buf, int32_t day)
{
	struct civil c = clock_civil(day);

	buf_printf(buf, "%04d%02u%02u", c.year, c.month, c.day);
}

/* xnas-itch-20240102.ohlcv-1m.dbn.zst, with the last day where it is another, and the symbol where they are split. */
static void put_name(const struct job *job, const struct data_part *part, struct buf *buf)
{
	static const char *const endings[] = { "dbn", "csv", "json" };
	const struct query *q = job->query;
	int32_t first = (int32_t)(part->start / NS_PER_DAY), last = (int32_t)((part->end - 1) / NS_PER_DAY);

	for (const char *c = q->dataset->name; *c; c++)
		buf_put_u8(buf, *c == '.' ? '-' : (uint8_t)(*c | 0x20));
	buf_put_u8(buf, '-');
	put_compact_day(buf, first);
	if (last != first) {
		buf_put_u8(buf, '-');
		put_compact_day(buf, last);
	}
	buf_printf(buf, ".%s.", dbn_schema_name(q->window.schema->number));
	if (part->symbol != UINT32_MAX) {
		for (const char *c = q->resolution.list[part->symbol].symbol; *c; c++)
			buf_put_u8(buf, *c == '/' || *c == ' ' ? '-' : (uint8_t)*c);
		buf_put_u8(buf, '.');
	}
	buf_put_text(buf, endings[q->encoding]);
	if (q->zstd)
		buf_put_text(buf, ".zst");
}

static int write_part(struct job *job, struct data_part *part, struct err *err)
{
	CLEANUP(buf_release) struct buf name = BUF_INIT(JOB_FILE_NAME_MAX);
	CLEANUP(body_release) struct body body = { 0 };
	uint64_t records = 0;

	part->ret_records = &records;
	put_name(job, part, &name);
	if (data_body_open(&body, job->query, part, NULL, err) || write_body(job, buf_text(&name), &body, err))
		return -1;
	job->records += records;
	job->actual_size += job->files[job->file_count - 1].size;
	if (job->query->window.limit > 0)
		job->query->window.limit -= records;
	return 0;
}

static int write_parts(struct job *job, uint32_t symbol, struct err *err)
{
	const struct stream_window window = job->query->window;

	for (int64_t start = window.start; start < window.end;) {
		int64_t end = next_part(job->split, (int32_t)(start / NS_PER_DAY)) * NS_PER_DAY;
		struct data_part part = { start, end < window.end ? end : window.end, symbol, NULL };
		bool over = window.limit > 0 && job->query->window.limit == 0;

		start = part.end;
		if (over || !calendar_has_trading_day((int32_t)(part.start / NS_PER_DAY),
						      (int32_t)((part.end - 1) / NS_PER_DAY) + 1))
			continue;
		if (write_part(job, &part, err))
			return -1;
	}
	return 0;
}

static int write_data(struct job *job, struct err *err)
{
	uint64_t limit = job->query->window.limit;
	int failed = 0;

	if (!job->split_symbols)
		failed = write_parts(job, UINT32_MAX, err);
	for (uint32_t i = 0; job->split_symbols && !failed && i < job->query->resolution.count; i++)
		if (job->query->resolution.list[i].found != FOUND_NOT)
			failed = write_parts(job, i, err);
	job->query->window.limit = limit;
	return failed;
}

/* --- what describes it ------------------------------------------------------------------------------------------- */

static void put_metadata(const struct job *job, struct json_out *json)
{
	json_put_open(json, '{');
	json_put_key(json, "version");
	json_put_int(json, 1);
	json_put_key(json, "job_id");
	json_put_str(json, str_of(job->id));
	json_put_key(json, "query");
	job_put(job, json);
	json_put_close(json, '}');
}

static void put_condition(const struct job *job, struct json_out *json)
{
	const struct resolution *r = &job->query->resolution;

	metadata_put_conditions(job->query->simulator, job->query->dataset, r->first_day, r->end_day - 1, json);
}

static void put_symbology(const struct job *job, struct json_out *json)
{
	symbology_put(&job->query->resolution, job->query->stype_in, job->query->stype_out, json);
}

static void put_manifest(const struct job *job, struct json_out *json)
{
	json_put_open(json, '{');
	json_put_key(json, "job_id");
	json_put_str(json, str_of(job->id));
	json_put_key(json, "files");
	job_put_files(job, json);
	json_put_close(json, '}');
}

static const struct {
	const char *name;
	void (*put)(const struct job *job, struct json_out *json);
} descriptions[] = {
	{ "metadata.json", put_metadata },
	{ "condition.json", put_condition },
	{ "symbology.json", put_symbology },
	{ "manifest.json", put_manifest }, /* last: it lists the others */
};

static int write_description(struct job *job, size_t i, struct err *err)
{
	CLEANUP(body_release) struct body body = { 0 };
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	descriptions[i].put(job, &json);
	body = body_of_buf(&buf);
	return write_body(job, descriptions[i].name, &body, err);
}

int job_produce(struct job *job, struct err *err)
{
	if (write_data(job, err))
		return -1;
	for (size_t i = 0; i < sizeof(descriptions) / sizeof(descriptions[0]); i++)
		if (write_description(job, i, err))
			return -1;
	for (uint32_t i = 0; i < job->file_count; i++)
		job->package_size += job->files[i].size;
	return 0;
}
