#pragma once
/*
 * What the database was asked, one line each: "Query executed" with symbol,
 * date range, time and rows; "Query pattern" of those that have a range of
 * days. The guides count and sort by these.
 */
#include "stages/orchestrator/api/resources.h"

#define QUERY_TEXT_MAX 80

struct query_log {
	const char *query; /* the resource's name */
	char symbol[QUERY_TEXT_MAX], from[QUERY_TEXT_MAX], to[QUERY_TEXT_MAX], schema[QUERY_TEXT_MAX];
	int64_t database_ns, records; /* added up by who asks */
};

/* The values are the resource's parameters' (see resource.c). */
void query_log_begin(struct query_log *log, const struct resource *resource, const char *const *values);
/* slow_ms: a warning where it took longer. */
void query_log_end(const struct query_log *log, int64_t slow_ms);
