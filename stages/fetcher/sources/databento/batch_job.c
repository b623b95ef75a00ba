#include "stages/fetcher/sources/databento/batch_job.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/record.h"
#include "stages/fetcher/sources/databento/request.h"

bool batch_name_is_plain(const char *name)
{
	size_t n = name ? strlen(name) : 0;

	if (n == 0 || n >= BATCH_NAME_MAX || name[0] == '.')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr(".-_", *name))
			return false;
	return true;
}

static bool text_is(const json_t *job, const char *key, const char *wanted)
{
	const char *text = json_string_value(json_object_get(job, key));

	return text && strcmp(text, wanted) == 0;
}

/* One symbol is a text, several are a list; texts may hold several, too. */
static bool same_symbols(const json_t *job, const struct fetch_task *task)
{
	CLEANUP(buf_release) struct buf ours = BUF_INIT(1024 * 1024), theirs = BUF_INIT(1024 * 1024);
	const json_t *symbols = json_object_get(job, "symbols");
	size_t i;
	json_t *symbol;

	for (unsigned n = 0; n < task->symbol_count; n++)
		buf_printf(&ours, "%s,", task->symbols[n]);
	if (json_is_string(symbols))
		buf_printf(&theirs, "%s,", json_string_value(symbols));
	json_array_foreach(symbols, i, symbol)
		buf_printf(&theirs, "%s,", json_is_string(symbol) ? json_string_value(symbol) : "");
	return str_eq(buf_str(&ours), buf_str(&theirs));
}

/* "2022-05-17 00:00:00+00:00", or ISO 8601. */
static bool read_time(const json_t *job, const char *key, int64_t *ret_ns)
{
	char text[CLOCK_TEXT_MAX + 16];
	char *zone;

	snprintf(text, sizeof(text), "%s",
		 json_is_string(json_object_get(job, key)) ? json_string_value(json_object_get(job, key)) : "");
	if (strlen(text) > 10 && text[10] == ' ')
		text[10] = 'T';
	zone = strstr(text, "+00:00");
	if (zone)
		*zone = '\0';
	return clock_parse(str_of(text), ret_ns);
}

static bool same_time(const json_t *job, const char *key, int64_t ns)
{
	int64_t found;

	return read_time(job, key, &found) && found == ns;
}

/* An older one has the data as they were then: this attempt is to fetch them as they are. */
static bool is_of_attempt(const struct fetch_task *task, const json_t *job)
{
	int64_t received;

	return read_time(job, "ts_received", &received) && received / NS_PER_MS >= task->attempt >> ATTEMPT_RANDOM_BITS;
}

bool batch_job_is(const json_t *job, const struct fetch_task *task, int64_t end)
{
	return text_is(job, "dataset", task->dataset) && text_is(job, "schema", task->schema) &&
	       text_is(job, "stype_in", databento_stype_in(task)) && text_is(job, "encoding", "dbn") &&
	       is_of_attempt(task, job) && same_time(job, "start", task->start) && same_time(job, "end", end) &&
	       same_symbols(job, task);
}
