#pragma once
/* replay: a topic's past is put into it again. What the command's files share. */
#include <jansson.h>

#include "common/data_types.h"
#include "common/kafka_past.h"
#include "common/topics.h"
#include "stages/fetcher/sources/kafka_filter.h"

#define REPLAY_COMMAND "replay"
#define REPLAY_PARTITIONS_MAX 1024

/* Where a range begins or ends, as it was said. */
enum replay_edge_kind { EDGE_EARLIEST, EDGE_LATEST, EDGE_OFFSET, EDGE_TIME };
struct replay_edge {
	enum replay_edge_kind kind;
	int64_t value; /* offset, or ns */
	const char *text;
};

struct replay {
	const struct data_schema *schema;
	enum data_stage stage;
	const char *stage_name, *why, *into;
	struct replay_edge from, to;
	char **symbols; /* owned */
	size_t symbol_count;
	bool replays, dry_run, follow, as_json;

	/* replay_ranges.c */
	struct topics *topics;
	const char *topic;
	struct kafka_range *ranges; /* those that hold something */
	unsigned range_count;
	int64_t gone; /* offsets that stood before the ranges, and were deleted */

	/* replay_look.c */
	struct kafka_filter filter;
	int64_t counts[KAFKA_FATES];
	int64_t *records; /* that would be put back, of each range */
	bool *seen;       /* of the filter's symbols */
	bool enough;      /* there is something of all that was asked for: the rest is not looked at */
};

/* Offsets for what was said. ERR_RECORD: they are gone, or not there yet, or there are none. */
int replay_ranges_find(struct replay *replay, const struct config *cfg, struct err *err);

/* Reads the ranges: all of them for a dry run, else until it is known that there is something to be put back. */
int replay_look(struct replay *replay, const struct config *cfg, struct err *err);

/* What a dry run found. */
json_t *replay_report(const struct replay *replay);
void replay_print(const struct replay *replay);

int command_replay(int argc, char **argv);
