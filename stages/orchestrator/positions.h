#pragma once
/*
 * Where every group stands in every partition that it reads, whether Kafka
 * keeps it or the database: what the orchestrator watches and what `penstock
 * offsets` shows and moves. Names belong to the topic table.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/json_out.h"
#include "common/kafka_admin.h"
#include "common/pg.h"
#include "common/topics.h"

enum position_state {
	POSITION_OK,
	POSITION_NONE,    /* nothing is known where something must be; a group of the database begins at 0 */
	POSITION_GAP,     /* records between it and the partition's first one are gone */
	POSITION_AHEAD,   /* the partition ends before it: it was made anew, or cut */
	POSITION_STOPPED, /* its reader found that the log is not the one that it had read */
	POSITION_MISSING, /* there is no such partition */
};

struct position {
	const char *group;
	const struct topic *topic;
	int32_t partition;
	bool in_database; /* etl.offsets, not Kafka */
	int64_t next;     /* KAFKA_OFFSET_NONE: not known */
	int64_t low;      /* the first offset that is still there; KAFKA_OFFSET_NONE: no such partition */
	int64_t high;     /* behind the last entry */
	char *stopped;    /* why its reader stopped, "": it did not */
};

struct positions {
	struct position *items;
	unsigned count;
};

#define POSITIONS_INIT \
	{ \
		0 \
	}

/* Every group × topic × partition of the table; nothing is read yet. */
void positions_list(struct positions *positions, const struct topics *topics);
void positions_release(struct positions *positions);

/* `next` and `stopped` of all. */
int positions_read(struct positions *positions, struct kafka_admin *admin, struct pg *pg, struct err *err);

/* Edges are read around positions, so that what moves meanwhile looks like no gap. */
int positions_read_all(struct positions *positions, struct kafka_admin *admin, struct pg *pg, struct err *err);

enum position_state position_state(const struct position *position);
const char *position_state_name(enum position_state state);

/* True where it cannot go on by itself. */
bool position_is_gap(const struct position *position);

/* Offsets from where it would be read next to the partition's end; those of transactions' marks are counted too. */
int64_t position_behind(const struct position *position);

/* An object; `penstock offsets ls --json` and the API have the same. */
void position_json(const struct position *position, struct json_out *out);

/* Names place and numbers, and the way out. */
void position_explain(const struct position *position, struct buf *out);
