#pragma once
/* Where groups stand, for the commands `offsets ls` and `offsets skip`. */
#include "common/cleanup.h"
#include "common/kafka_admin.h"
#include "common/pg.h"
#include "common/topics.h"
#include "ops/cli/cli.h"
#include "stages/orchestrator/positions.h"

/* Everything that both commands need, opened in this order. */
struct offsets_view {
	struct config *cfg;
	struct topics *topics;
	struct positions positions;
	struct kafka_admin *admin;
	struct pg *pg;
};

void offsets_view_release(struct offsets_view *view);

/* The list of places, with nothing asked yet: configuration is open. */
int offsets_view_list(struct offsets_view *view, struct err *err);

/* Connects, and reads all positions and the edges of all partitions. */
int offsets_view_read(struct offsets_view *view, struct err *err);
