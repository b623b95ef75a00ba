#pragma once
/*
 * The records of one type: encoded rows for its table, and the messages they
 * came in, kept until their batch is committed, as a row may yet be refused.
 * One batch is filled while another is written, by two threads, which share
 * nothing of a lane but what never changes.
 */
#include "common/kafka.h"
#include "stages/loader/merge.h"

struct lane;

/* topic: of the type's clean records; it and the spec outlive the lane. */
struct lane *lane_new(const struct table_spec *spec, const char *topic);
void lane_freep(struct lane **lane);

/* A new session: what the old one had is gone. */
int lane_opened(struct lane *lane, struct pg *pg, struct err *err);

/* ERR_RECORD where the record does not decode, has no lineage, or does not fit the table. */
int lane_take(struct lane *lane, const struct kafka_message *message, struct err *err);

/* Of rows and messages of the batch that is filled. */
size_t lane_bytes(const struct lane *lane);

/* What was filled is what is to be written; another batch is filled from here on. Nothing is being written. */
void lane_hand_over(struct lane *lane);

/* Whose record it is: the one's that fills a batch, or the one's that writes. */
enum lane_side { LANE_FILLING, LANE_WRITING };

/* The type's own record, decoded from a message that is to be refused; NULL where it does not decode. */
const void *lane_decode(struct lane *lane, enum lane_side side, const struct kafka_message *message);
const struct record_type *lane_type(const struct lane *lane);

/* The partitions of its table that the batch needs. */
int lane_prepare(struct lane *lane, struct pg *pg, struct err *err);

/* A row of the batch that is not to be in the table; `message` lives during the call. */
typedef int lane_refused_fn(void *self, struct lane *lane, const struct kafka_message *message,
			    const struct merge_refusal *refusal, struct err *err);

/* Inside the caller's transaction: the rows become rows of the table, what became of them is added to the ledger. */
int lane_write(struct lane *lane, struct pg *pg, struct ledger *ledger, lane_refused_fn *refused, void *self,
	       struct err *err);

/* What was written is committed. */
void lane_written(struct lane *lane);

/* Both batches are read again. Nothing is being written. */
void lane_dropped(struct lane *lane);
