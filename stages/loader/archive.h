#pragma once
/*
 * Dead letters become rows of etl.dead_letters: those of etl.dlq, and the
 * loader's own, which stand in no topic until the sender has published them.
 * Nothing is refused here: texts are made fit for the database, bytes stay
 * bytes, what has no lineage is kept as foreign. Only a letter that is really
 * new counts in the ledger, so a letter published twice is one, and one of
 * ours that comes back is none.
 */
#include "common/data_types.h"
#include "common/dead_letter.h"
#include "stages/loader/ledger.h"

struct archive;

struct archive *archive_new(void);
void archive_freep(struct archive **archive);
int archive_create_stage(struct pg *pg, struct err *err);

/* A letter of etl.dlq; takes a copy. */
void archive_add(struct archive *archive, const struct kafka_message *message);

/* A letter of our own; takes a copy. Key and value are the refused message's. */
void archive_add_own(struct archive *archive, const struct dead_letter *letter, struct str key, struct str value);

size_t archive_bytes(const struct archive *archive);
bool archive_overflow(const struct archive *archive);
bool archive_has_own(const struct archive *archive);
void archive_reset(struct archive *archive);

/* Inside the caller's transaction: moves what was added into the session's staging table, so that more can be. */
int archive_stage(struct archive *archive, struct pg *pg, struct err *err);

/* Inside the caller's transaction. The topics as the ledger is to name them: of letters, and of refused records. */
int archive_write(struct archive *archive, struct pg *pg, const char *dlq_topic, struct data_topics *clean_topics,
		  struct ledger *ledger, struct err *err);
