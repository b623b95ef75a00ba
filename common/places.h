#pragma once
/*
 * The partitions that a stage is assigned, and where it stands in each: its
 * own part of the open batch, whether its first message was met, whether it
 * can be read at all.
 */
#include "common/stage.h"

#define PLACES_MAX 1024

enum place_state {
	PLACE_READING,
	PLACE_PROBING, /* the next message is one that was committed before: it is compared, not handled */
	PLACE_STOPPED,
};

struct place {
	const char *topic; /* the stage's text of the name */
	int32_t partition;
	enum place_state state;
	int64_t resume;            /* the stored offset, when it was last asked for */
	bool foreign;              /* STOPPED: the log is not the one that was read before, whatever its offsets */
	bool dirty;                /* met a message that is not committed: to be read again if the batch is dropped */
	bool batched;              /* the open batch holds messages of it, all before `next` */
	int64_t next;              /* to be read; KAFKA_OFFSET_NONE: the client knows */
	struct kafka_message last; /* of the batch; owned */
	bool begun;                /* its first message was met, the start is stored */
	bool moved;                /* something was committed since */
	unsigned starts;           /* this one included; 1 is what should be */
};

struct places {
	struct place list[PLACES_MAX];
	unsigned count;
	unsigned last; /* the place of the message before: mostly the same */
};

/* NULL where there is no room. */
struct place *places_add(struct places *places, const char *topic, int32_t partition);
struct place *places_find(struct places *places, const char *topic, int32_t partition);
void places_clear(struct places *places);

/* The message was handled: it is the place's part of the batch from here on (taken over from the caller). */
void place_take(struct place *place, struct kafka_message *message);

/* Ends the open batch; committed: nothing has to be read again. */
void places_end_batch(struct places *places, bool committed);

/* The batch's, the dirty ones', as positions; returns how many. `list` has room for PLACES_MAX. */
unsigned places_batched(const struct places *places, struct stage_position *list);
unsigned places_dirty(const struct places *places, struct stage_position *list);
struct stage_position place_position(const struct place *place);
