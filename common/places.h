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
	bool leaving;              /* so does the batch that was handed over and is not known to be committed yet */
	int64_t next;              /* to be read; KAFKA_OFFSET_NONE: the client knows */
	struct kafka_message last; /* of the batch; owned */
	bool begun;                /* its first message was met, the start is stored */
	bool moved;                /* something was committed since */
	unsigned starts;           /* this one included; 1 is what should be */
};

struct places {
	const struct stage *stage;
	struct kafka_consumer *consumer;
	struct place list[PLACES_MAX];
	unsigned count;
	unsigned last; /* the place of the message before: mostly the same */
	unsigned stopped;
	int64_t look_ns;                             /* when those are looked at next */
	struct stage_position positions[PLACES_MAX]; /* for one call */
	struct kafka_offset offsets[PLACES_MAX];     /* likewise */
};

/* NULL where there is no room. */
struct place *places_add(struct places *places, const char *topic, int32_t partition);
struct place *places_find(struct places *places, const char *topic, int32_t partition);
void places_clear(struct places *places);

/* The message was handled: it is the place's part of the batch from here on (taken over from the caller). */
void place_take(struct place *place, struct kafka_message *message);

/* The open batch is on its way. */
void places_hand_over(struct places *places);

/* It has arrived; committed: nothing of it has to be read again. */
void places_settle(struct places *places, bool committed);

/* There is no open batch any more. */
void places_drop_batch(struct places *places);

/* The batch as positions, in places->positions; returns how many. */
unsigned places_batched(struct places *places);
struct stage_position place_position(const struct place *place);

/* Where an assignment or a rewind said: at the probe, or at the next offset. */
void place_at(struct place *place, const struct stage_position *position);

/* After a dropped batch: what it met is read again; where the commit's store was away, all places are asked for. */
int places_rewind(struct places *places, struct err *err);

/*
 * The client said that the place's offset is not there. What was only to be
 * compared may be gone by right, with the rest still there; else it stops.
 */
int places_meet_gap(struct places *places, struct place *place, const char *why, struct err *err);
void places_stop(struct places *places, struct place *place, const char *why);

/* Looks now and then whether stopped places can go on; no batch is open. */
void places_look(struct places *places);
