#pragma once
/*
 * Writes DBN files of version 3; a name that ends in .zst is compressed. A
 * file appears under its name when it is complete: until then it is
 * NAME.part. Errors: ERR_RETRY for what the machine refuses, ERR_FATAL for a
 * path that is no file and for metadata that no reader would take.
 */
#include <stdint.h>

#include "common/err.h"
#include "stages/fetcher/formats/dbn.h"

struct dbn_writer;

/* Only version, and what the metadata's slices point to, need not be set. */
int dbn_writer_open(struct dbn_writer **ret, const char *path, const struct dbn_metadata *metadata, struct err *err);

/* Whole records, header included. */
int dbn_writer_put(struct dbn_writer *writer, const void *records, size_t bytes, struct err *err);

/* Completes the file and gives it its name; the writer is free afterwards, also when it failed. */
int dbn_writer_close(struct dbn_writer **writer, int64_t *ret_bytes, struct err *err);

/* Gives up: no file is left. */
void dbn_writer_freep(struct dbn_writer **writer);

/* A bar's bytes, without ts_out. */
void dbn_put_ohlcv(uint8_t ret_bytes[DBN_OHLCV_BYTES], const struct dbn_record *header, const struct dbn_ohlcv *bar);
