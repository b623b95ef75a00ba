#include "stages/orchestrator/api/query_log.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

static const char *value_of(const struct resource *resource, const char *const *values, const char *name)
{
	for (unsigned i = 0; i < resource->parameter_count; i++)
		if (strcmp(resource->parameters[i].name, name) == 0 && values[i])
			return values[i];
	return "";
}

/* The first of two names that has a value. */
static void copy(char to[QUERY_TEXT_MAX], const struct resource *resource, const char *const *values, const char *name,
		 const char *other)
{
	const char *value = value_of(resource, values, name);

	snprintf(to, QUERY_TEXT_MAX, "%s", value[0] ? value : value_of(resource, values, other));
}

void query_log_begin(struct query_log *log, const struct resource *resource, const char *const *values)
{
	*log = (struct query_log){ .query = resource->name };
	copy(log->symbol, resource, values, "symbol", "symbol");
	copy(log->from, resource, values, "start", "from");
	copy(log->to, resource, values, "end", "to");
	copy(log->schema, resource, values, "schema", "interval");
	if (log->schema[0] && !value_of(resource, values, "schema")[0])
		snprintf(log->schema, sizeof(log->schema), "ohlcv-%s", value_of(resource, values, "interval"));
}

/* 0: there is no range. */
static int64_t range_days(const struct query_log *log)
{
	int64_t from, to;

	if (!clock_parse(str_of(log->from), &from) || !clock_parse(str_of(log->to), &to))
		return 0;
	return clock_day_of(to) - clock_day_of(from) + 1;
}

void query_log_end(const struct query_log *log, int64_t slow_ms)
{
	bool slow = log->database_ns > slow_ms * NS_PER_MS;
	char range[2 * QUERY_TEXT_MAX] = "";
	int64_t days = range_days(log);

	if (log->from[0] || log->to[0])
		snprintf(range, sizeof(range), "%s/%s", log->from, log->to);
	log_write(slow ? LOG_WARNING : LOG_INFO, slow ? "query_slow" : "query_executed",
		  LOG_FIELDS(log_str("query", log->query), log_str("symbol", log->symbol), log_str("date_range", range),
			     log_seconds("execution_time", log->database_ns), log_i64("record_count", log->records)),
		  slow ? "Query executed: Duration of %lld ms exceeded" : "Query executed", (long long)slow_ms);
	if (days > 0)
		log_info("query_pattern",
			 LOG_FIELDS(log_str("schema", log->schema), log_i64("symbols_count", log->symbol[0] != '\0'),
				    log_i64("date_range_days", days)),
			 "Query pattern");
}
