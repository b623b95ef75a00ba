#pragma once
/*
 * What a task's data looks like to the fetcher, whatever the vendor: a
 * sequence of items that is the same each time it is read, so that an attempt
 * can go on at item n after a restart. A source never waits: what it has not
 * got yet it says to be later.
 */
#include <stdint.h>

#include "common/control.h"
#include "common/data_types.h"
#include "common/dead_letter.h"
#include "common/err.h"
#include "common/record.h"

struct source;
struct http_client;
struct limiter;
struct databento_account;
struct config;
struct topics;

#define SOURCE_RESUME_MAX 512

enum source_kind {
	SOURCE_RECORD,  /* a record to be produced */
	SOURCE_MESSAGE, /* a message of a topic, as it was but for its place in the account */
	SOURCE_REFUSED, /* data that cannot become one: a dead letter */
	SOURCE_SKIPPED, /* no data, or a type that is not loaded */
	SOURCE_MARK,    /* no data: source_resume() is worth committing before anything else */
	SOURCE_LATER,   /* nothing now: ask again at ready_ns, or when the client's wake function was called */
	SOURCE_CHANGED, /* what comes is not what came before: the attempt is over, message says why */
	SOURCE_END,
};

/* Valid until the next call. */
struct source_item {
	enum source_kind kind;
	const struct record_type *type; /* RECORD */
	void *record;                   /* RECORD: its struct; attempt, ordinal, as_of are the fetcher's to fill in */
	struct lineage *lineage;        /* where in `record` these stand */
	enum data_type_id data;         /* MESSAGE: of which type, and into which stage's topic it goes */
	enum data_stage stage;          /* MESSAGE */
	struct str symbol;              /* RECORD, MESSAGE, and REFUSED where known: the message's key */
	const char *schema;             /* the vendor's schema name: "ohlcv-1m" */
	int64_t ts_event;               /* ns; REFUSED where known, else 0 */
	int64_t ts_index;    /* ns: what the vendor cuts windows on, ts_recv or ts_event; 0 where not known */
	struct str bytes;    /* RECORD, REFUSED, SKIPPED: the vendor's, where the format has them; MESSAGE: its value */
	const char *message; /* REFUSED: why, with file, record number and byte offset; CHANGED */
	struct dead_letter_past past; /* MESSAGE, REFUSED: where it is a letter's */
	int64_t ready_ns;             /* LATER: monotonic; INT64_MAX where only a wake-up tells */
};

/* Calls of the vendor by one task. */
struct source_calls {
	int64_t made;
	int64_t max;  /* 0: as many as it takes */
	bool used_up; /* a source ended because it might not make another one */
	bool unknown; /* another process made some of them */
};

/* What sources of vendors work with; it outlives them. */
struct source_env {
	struct http_client *http; /* NULL: no source that needs it is configured */
	struct limiter *limiter;  /* of the slot */
	const struct databento_account *databento;
	const char *spool;        /* folder for files that are fetched as a whole */
	const struct config *cfg; /* for a client of the broker's; NULL: there is none */
	const struct topics *topics;
	struct source_calls *calls; /* of the slot; NULL: nobody counts */
	bool *trouble; /* of the slot; NULL: nobody asks. Set by a source that ends because its vendor does not work */
};

/*
 * ERR_RECORD: the task can never pass (no such file, wrong magic, stream
 * corrupt from here on); the text names file, record number and byte offset.
 * Items before the error stand. The task outlives the source. `resume`: what
 * source_resume() said when this attempt was committed last, else "".
 */
int source_open(struct source **ret, const struct source_env *env, const struct fetch_task *task, const char *resume,
		struct err *err);
int source_next(struct source *source, struct source_item *ret_item, struct err *err);
void source_freep(struct source **source);

/* What must be unchanged for items 1..n to be the same ones: for a file device, inode, size, mtime. */
const char *source_identity(const struct source *source);

int64_t source_input_bytes(const struct source *source);

/* Where to go on behind the last item, in the source's own words, shorter than SOURCE_RESUME_MAX; "": it has none. */
const char *source_resume(const struct source *source);

/* The source opened with a resume text begins behind the items that were committed; else they come again. */
bool source_begins_behind(const struct source *source);

/* At SOURCE_END: what else there is to tell of the task, a JSON object; "": nothing. */
const char *source_result(struct source *source);
