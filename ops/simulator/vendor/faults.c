#include "ops/simulator/vendor/faults.h"

#include <errno.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/mem.h"

/* --- what a fault is made of ------------------------------------------------------------------------------------- */

#define TEXT(member) offsetof(struct fault, member), sizeof(((struct fault *)0)->member)
#define NUMBER(member) offsetof(struct fault, member), 0

static const struct {
	const char *name;
	size_t at, text_bytes; /* 0: a number */
	const char *help;
} keys[] = {
	{ "method", TEXT(method), "GET or POST; any where it is absent" },
	{ "path", TEXT(path), "a pattern, /v0/timeseries.*; any where it is absent" },
	{ "skip", NUMBER(skip), "so many requests pass first" },
	{ "count", NUMBER(count), "how many requests it hits (1; -1: all)" },
	{ "delay_ms", NUMBER(delay_ms), "waits before it answers" },
	{ "status", NUMBER(status), "answers with an error: 402, 403, 429, 500, 503, ..." },
	{ "retry_after", NUMBER(retry_after_s), "the Retry-After header, seconds" },
	{ "case", TEXT(error_case), "the error's case; without it detail is a text" },
	{ "message", TEXT(message), "the error's text" },
	{ "warning", TEXT(warning), "the X-Warning header, as \"Type: text\"" },
	{ "cut_after_bytes", NUMBER(cut_after_bytes), "the connection ends there" },
	{ "slow_bytes_per_second", NUMBER(slow_bytes_per_second), "the body comes no faster" },
	{ "stall_after_bytes", NUMBER(stall_after_bytes), "the body stops there for stall_ms" },
	{ "stall_ms", NUMBER(stall_ms), "how long" },
	{ "corrupt_after_bytes", NUMBER(corrupt_after_bytes), "the byte there is inverted" },
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

void fault_help(void)
{
	for (size_t i = 0; i < KEYS; i++)
		printf("  %-22s %s\n", keys[i].name, keys[i].help);
}

static int find_key(const char *name, size_t *ret, struct err *err)
{
	for (*ret = 0; *ret < KEYS; ++*ret)
		if (strcmp(keys[*ret].name, name) == 0)
			return 0;
	return err_set(err, ERR_RECORD, "a fault has no '%s'", name);
}

static int set_text(struct fault *fault, size_t key, const char *text, struct err *err)
{
	if (strlen(text) >= keys[key].text_bytes)
		return err_set(err, ERR_RECORD, "%s: longer than %zu bytes", keys[key].name, keys[key].text_bytes - 1);
	memcpy((char *)fault + keys[key].at, text, strlen(text) + 1);
	return 0;
}

static void set_number(struct fault *fault, size_t key, int64_t value)
{
	memcpy((char *)fault + keys[key].at, &value, sizeof(value));
}

static int check(const struct fault *fault, struct err *err)
{
	if (fault->status != 0 && (fault->status < 400 || fault->status > 599))
		return err_set(err, ERR_RECORD, "status: 400 to 599");
	return 0;
}

int fault_parse_json(const json_t *object, struct fault *ret, struct err *err)
{
	const char *name;
	json_t *value;

	*ret = (struct fault)FAULT_INIT;
	if (!json_is_object(object))
		return err_set(err, ERR_RECORD, "a fault is a JSON object");
	json_object_foreach((json_t *)object, name, value)
	{
		size_t key;

		if (find_key(name, &key, err))
			return -1;
		if (keys[key].text_bytes > 0 ? !json_is_string(value) : !json_is_integer(value))
			return err_set(err, ERR_RECORD, "%s: a %s is needed", name,
				       keys[key].text_bytes > 0 ? "text" : "whole number");
		if (keys[key].text_bytes == 0)
			set_number(ret, key, json_integer_value(value));
		else if (set_text(ret, key, json_string_value(value), err))
			return -1;
	}
	return check(ret, err);
}

static int parse_pair(char *pair, struct fault *fault, struct err *err)
{
	char *value = strchr(pair, '='), *end;
	int64_t number;
	size_t key;

	if (!value)
		return err_set(err, ERR_RECORD, "'%s': key=value is needed", pair);
	*value++ = '\0';
	if (find_key(pair, &key, err))
		return -1;
	if (keys[key].text_bytes > 0)
		return set_text(fault, key, value, err);
	errno = 0;
	number = strtoll(value, &end, 10);
	if (end == value || *end || errno)
		return err_set(err, ERR_RECORD, "%s: a whole number is needed", pair);
	set_number(fault, key, number);
	return 0;
}

int fault_parse_text(const char *text, struct fault *ret, struct err *err)
{
	CLEANUP(freep) char *copy = mem_strdup(text);
	char *rest = copy, *pair;

	*ret = (struct fault)FAULT_INIT;
	while ((pair = strsep(&rest, ",")))
		if (parse_pair(pair, ret, err))
			return -1;
	return check(ret, err);
}

/* --- the list ---------------------------------------------------------------------------------------------------- */

int faults_add(struct faults *faults, const struct fault *fault, uint64_t *ret_id, struct err *err)
{
	bool room;

	pthread_mutex_lock(&faults->lock);
	room = faults->count < FAULTS_MAX;
	if (room) {
		*ret_id = ++faults->ids;
		faults->rows[faults->count++] = (struct fault_row){ .fault = *fault, .id = *ret_id };
	}
	pthread_mutex_unlock(&faults->lock);
	return room ? 0 : err_set(err, ERR_RETRY, "%d faults are kept, not more", FAULTS_MAX);
}

void faults_clear(struct faults *faults)
{
	pthread_mutex_lock(&faults->lock);
	faults->count = 0;
	pthread_mutex_unlock(&faults->lock);
}

static void put_row(struct json_out *json, const struct fault_row *row)
{
	json_put_open(json, '{');
	json_put_key(json, "id");
	json_put_uint(json, row->id);
	json_put_key(json, "hits");
	json_put_uint(json, row->hits);
	for (size_t i = 0; i < KEYS; i++) {
		const char *at = (const char *)&row->fault + keys[i].at;
		int64_t number;

		json_put_key(json, keys[i].name);
		if (keys[i].text_bytes > 0) {
			json_put_str(json, str_of(at));
			continue;
		}
		memcpy(&number, at, sizeof(number));
		json_put_int(json, number);
	}
	json_put_close(json, '}');
}

void faults_put(struct faults *faults, struct json_out *json)
{
	pthread_mutex_lock(&faults->lock);
	json_put_open(json, '[');
	for (uint32_t i = 0; i < faults->count; i++)
		put_row(json, &faults->rows[i]);
	json_put_close(json, ']');
	pthread_mutex_unlock(&faults->lock);
}

static bool hits(struct fault_row *row, const char *method, const char *path)
{
	const struct fault *fault = &row->fault;

	if (*fault->method && strcasecmp(fault->method, method) != 0)
		return false;
	if (*fault->path && fnmatch(fault->path, path, 0) != 0)
		return false;
	if (fault->count >= 0 && row->hits >= (uint64_t)fault->count)
		return false;
	if ((int64_t)row->seen++ < fault->skip)
		return false;
	row->hits++;
	return true;
}

bool faults_take(struct faults *faults, const char *method, const char *path, struct fault *ret)
{
	bool found = false;

	pthread_mutex_lock(&faults->lock);
	for (uint32_t i = 0; i < faults->count && !found; i++) {
		found = hits(&faults->rows[i], method, path);
		if (found)
			*ret = faults->rows[i].fault;
	}
	pthread_mutex_unlock(&faults->lock);
	return found;
}
