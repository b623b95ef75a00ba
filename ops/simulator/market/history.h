#pragma once
/*
 * What happened to data after it was published: corrections, withdrawn
 * records, and the condition of days. Readers take a copy, so that a stream
 * is of one state; writers and copies exclude each other.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"
#include "ops/simulator/market/datasets.h"

#define HISTORY_CHANGES_MAX 1000
#define HISTORY_SYMBOL_MAX 24

enum change_kind { CHANGE_CORRECTION, CHANGE_WITHDRAWAL };

struct change {
	enum change_kind kind;
	const struct dataset *dataset;
	char symbol[HISTORY_SYMBOL_MAX]; /* raw symbol; "*": all */
	int64_t start, end;              /* ns */
	int32_t modified_day;
};

enum day_condition { CONDITION_AVAILABLE, CONDITION_DEGRADED, CONDITION_PENDING, CONDITION_MISSING, CONDITIONS };

const char *day_condition_name(enum day_condition condition);
bool day_condition_parse(struct str text, enum day_condition *ret);

struct day_state {
	const struct dataset *dataset; /* NULL: all */
	int32_t day;
	enum day_condition condition;
	int32_t modified_day;
};

struct history {
	uint64_t seed;
	uint32_t degraded_permille; /* of all days, by the seed */
	struct change changes[HISTORY_CHANGES_MAX];
	struct day_state days[HISTORY_CHANGES_MAX];
	uint32_t change_count, day_count;
};

/* The one that is written to, and its lock. */
struct archive {
	pthread_mutex_t lock;
	struct history now;
};

/* ERR_RETRY: there are as many as are kept. */
int archive_change(struct archive *archive, const struct change *change, struct err *err);
int archive_day(struct archive *archive, const struct day_state *state, struct err *err);
void archive_clear(struct archive *archive);

/* A copy of what concerns a dataset; free() it. */
struct history *archive_copy(struct archive *archive, const struct dataset *dataset);

enum day_condition history_condition(const struct history *history, const struct dataset *dataset, int32_t day,
				     int32_t *ret_modified_day);

/* Of a symbol at a time: how often it was corrected, or -1 where it was withdrawn. */
int history_revision(const struct history *history, const char *symbol, int64_t ns);
