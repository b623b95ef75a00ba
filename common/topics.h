#pragma once
/*
 * The topic table (topics/topics.yaml, compiled in) as the broker sees it:
 * names carry topics.prefix.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"

#define TOPIC_GROUPS_MAX 4

struct topic {
	char *name; /* with the prefix */
	char *base; /* without: "etl.raw.ohlcv" */
	char *schema;
	char *producer;
	int32_t partitions;
	int64_t retention_ms; /* -1: compacted */
	int64_t message_bytes_max;
	char *groups[TOPIC_GROUPS_MAX]; /* with the prefix */
	unsigned group_count;
};

struct topics;

int topics_open(struct topics **ret, const struct config *cfg, struct err *err);
void topics_freep(struct topics **topics);
unsigned topics_count(const struct topics *topics);
const struct topic *topics_at(const struct topics *topics, unsigned index);

/* Name with the prefix; aborts on a base name that is not in the table. */
const char *topics_name(const struct topics *topics, const char *base);

/* A consumer group's name with the prefix; lives as long as the table. */
const char *topics_group(const struct topics *topics, const char *group);

typedef void topics_report_fn(void *self, const char *line);

/* Creates what is missing and writes every group's first offset; refuses a changed partition count. */
int topics_apply(const struct topics *topics, const struct config *cfg, bool dry_run, topics_report_fn *report,
		 void *self, struct err *err);

/* Reports each difference; *ret_differences counts them. */
int topics_check(const struct topics *topics, const struct config *cfg, topics_report_fn *report, void *self,
		 unsigned *ret_differences, struct err *err);

/* The topic of that name, prefix included, or NULL. */
const struct topic *topics_find(const struct topics *topics, const char *name);

/*
 * Whether the topics that are there may be worked with; else ERR_FATAL, with
 * what is to be done: another number of partitions, or a setting by which
 * records would go before they are read. ERR_RETRY: the broker does not tell.
 */
int topics_verify(const struct topics *topics, const struct config *cfg, struct err *err);
