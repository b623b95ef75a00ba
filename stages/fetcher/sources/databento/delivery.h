#pragma once
/*
 * What the vendor delivered of a window, for the event that ends its task.
 */
#include <jansson.h>

#include "common/buf.h"
#include "stages/fetcher/sources/databento/tally.h"
#include "stages/fetcher/source.h"

#define DELIVERY_UNKNOWN INT64_C(-1)

struct dbn_metadata;

struct delivery {
	int64_t end;      /* ns, of what the vendor has: the window's, or before it */
	int64_t expected; /* records, as the vendor counts them; DELIVERY_UNKNOWN */
	int64_t records;  /* that came */
	int64_t billed;   /* bytes of bodies */
	struct tally tally;
	struct buf partial, not_found; /* JSON arrays of symbols */
	bool names_taken;
	struct buf result;
};

void delivery_init(struct delivery *delivery, int64_t end);
void delivery_release(struct delivery *delivery);

/* One more record was handed out. */
void delivery_take(struct delivery *delivery, const struct source_item *item);

/* The symbols that the first answer says are missing; NULL: nothing is known yet. */
void delivery_take_names(struct delivery *delivery, const struct dbn_metadata *metadata);

/* The same from arrays of texts. */
void delivery_name(struct delivery *delivery, const json_t *partial, const json_t *not_found);

/* JSON; owned by the delivery. */
const char *delivery_result(struct delivery *delivery);
