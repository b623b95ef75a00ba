#pragma once
/*
 * Batches of clean records and of dead letters, each batch one transaction:
 * rows, restatements, archive, ledger and offsets. What is refused goes into
 * the archive in the same transaction. One thread fills a batch while another
 * writes the one before it (commit_pg.h); a third publishes the refused
 * records' letters afterwards (sender.h).
 */
#include "common/commit_pg.h"
#include "common/worker.h"

struct loader;

int loader_open(struct loader **ret, struct worker *worker, struct err *err);
void loader_freep(struct loader **loader);

/* Ends the publishing of letters; -1: it had failed for good, which is why the process was asked to stop. */
int loader_close(struct loader *loader, struct err *err);

struct stage_ops loader_stage_ops(struct loader *loader);
struct commit_pg_effects loader_effects(struct loader *loader);

extern struct metric loader_metrics[];
extern const unsigned loader_metric_count;
