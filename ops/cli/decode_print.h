#pragma once
/*
 * What `penstock decode` prints: a JSON line for a record, or for a file's
 * metadata. Written to standard output piece by piece.
 */
#include <stdbool.h>

#include "common/buf.h"
#include "common/json_out.h"
#include "stages/fetcher/formats/dbn.h"

struct output {
	struct buf buf;
	struct json_out json;
	bool closed; /* the reader went away: nothing more to do, and nothing to complain about */
	bool failed;
};

void output_init(struct output *out);
void output_release(struct output *out);
void output_flush(struct output *out);

/*
 * All fields of the record. One that is not as its type should be is shown as
 * its bytes: ERR_RECORD says why, and printing can go on.
 */
int decode_put_record(struct output *out, struct dbn_reader *reader, const struct dbn_record *record, struct err *why);

void decode_put_metadata(struct output *out, const struct dbn_metadata *metadata);
