#pragma once
/*
 * What a task's data looks like to the fetcher, whatever the vendor: a
 * sequence of items that is the same each time it is read, so that an attempt
 * can go on at item n after a restart.
 */
#include <stdint.h>

#include "common/control.h"
#include "common/err.h"
#include "common/record.h"

struct source;

enum source_kind {
	SOURCE_RECORD,  /* a record to be produced */
	SOURCE_REFUSED, /* data that cannot become one: a dead letter */
	SOURCE_SKIPPED, /* no data, or a type that is not loaded */
	SOURCE_END,
};

/* Valid until the next call. */
struct source_item {
	enum source_kind kind;
	const struct record_type *type; /* RECORD */
	void *record;                   /* RECORD: its struct; attempt, ordinal, as_of are the fetcher's to fill in */
	struct lineage *lineage;        /* where in `record` these stand */
	struct str symbol;              /* RECORD, and REFUSED where known: the message's key */
	const char *schema;             /* the vendor's schema name: "ohlcv-1m" */
	int64_t ts_event;               /* ns; REFUSED where known, else 0 */
	struct str bytes;               /* REFUSED: the vendor's bytes */
	const char *message;            /* REFUSED: why, with file, record number and byte offset */
};

/*
 * ERR_RECORD: the task can never pass (no such file, wrong magic, stream
 * corrupt from here on); the text names file, record number and byte offset.
 * Items before the error stand.
 */
int source_open(struct source **ret, const struct fetch_task *task, struct err *err);
int source_next(struct source *source, struct source_item *ret_item, struct err *err);
void source_freep(struct source **source);

/* What must be unchanged for items 1..n to be the same ones: for a file device, inode, size, mtime. */
const char *source_identity(const struct source *source);

int64_t source_input_bytes(const struct source *source);
