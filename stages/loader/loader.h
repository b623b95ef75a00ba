#pragma once
/*
 * Batches of clean records and of dead letters, each batch one transaction:
 * rows, restatements, archive, ledger and offsets. One thread.
 */
#include "common/commit_pg.h"
#include "common/worker.h"

struct loader;

int loader_open(struct loader **ret, struct worker *worker, struct err *err);
void loader_freep(struct loader **loader);

struct stage_ops loader_stage_ops(struct loader *loader);
struct commit_pg_effects loader_effects(struct loader *loader);

extern struct metric loader_metrics[];
extern const unsigned loader_metric_count;
