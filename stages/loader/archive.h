#pragma once
/*
 * Dead letters of etl.dlq become rows of etl.dead_letters. Nothing is refused
 * here: texts are made fit for the database, bytes stay bytes, what has no
 * lineage is kept as foreign. Only a letter that is really new counts in the
 * ledger, so a letter published twice is one.
 */
#include "common/kafka.h"
#include "stages/loader/ledger.h"

struct archive;

struct archive *archive_new(void);
void archive_freep(struct archive **archive);
int archive_create_stage(struct pg *pg, struct err *err);

/* Takes a copy. */
void archive_add(struct archive *archive, const struct kafka_message *message);
size_t archive_bytes(const struct archive *archive);
bool archive_overflow(const struct archive *archive);
void archive_reset(struct archive *archive);

/* Inside the caller's transaction; topic as the ledger is to name it. */
int archive_write(struct archive *archive, struct pg *pg, const char *topic, struct ledger *ledger, struct err *err);
