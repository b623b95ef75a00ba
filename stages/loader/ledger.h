#pragma once
/*
 * The ledger of one batch: what became of its records, counted and mixed per
 * attempt, partition and outcome, written in the transaction that does it.
 */
#include <stdint.h>

#include "common/pg.h"

enum outcome {
	OUTCOME_INSERTED,
	OUTCOME_UPDATED,
	OUTCOME_UNCHANGED,
	OUTCOME_DUPLICATE,
	OUTCOME_SUPERSEDED,
	OUTCOME_DEAD_LETTER,
	OUTCOMES,
};

const char *outcome_name(enum outcome outcome);

struct ledger;

struct ledger *ledger_new(void);
void ledger_freep(struct ledger **ledger);

/* Where records stand in their partition, the first and the last of them. */
struct ledger_span {
	int64_t first, last; /* -1: not known */
};
#define LEDGER_SPAN_NONE ((struct ledger_span){ -1, -1 })

/* Topic outlives the ledger. mix: the sum of record_mix() over the records' ordinals, modulo 2^64. */
void ledger_add(struct ledger *ledger, int64_t attempt, const char *topic, int32_t partition, enum outcome outcome,
		int64_t records, uint64_t mix, struct ledger_span span);
/* Of an attempt's records in a partition, whatever became of them. */
struct ledger_span ledger_span_of(const struct ledger *ledger, int64_t attempt, const char *topic, int32_t partition);
/* Adds every account of the other. */
void ledger_merge(struct ledger *ledger, const struct ledger *other);
void ledger_reset(struct ledger *ledger);

/* Records of one outcome in the batch. */
int64_t ledger_count(const struct ledger *ledger, enum outcome outcome);

int ledger_write(struct ledger *ledger, struct pg *pg, struct err *err);
