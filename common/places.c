#include "common/places.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/worker.h"

#define LOOK_NS (5 * NS_PER_SECOND) /* between looks at stopped partitions */

static void count_stopped(struct places *places)
{
	places->stopped = 0;
	for (unsigned i = 0; i < places->count; i++)
		places->stopped += places->list[i].state == PLACE_STOPPED;
	metric_set(&worker_metrics[WORKER_STOPPED], places->stopped);
}

/* --- the batch ------------------------------------------------------------------------------------------------------- */

struct place *places_add(struct places *places, const char *topic, int32_t partition)
{
	struct place *place;

	if (places->count == PLACES_MAX)
		return NULL;
	place = &places->list[places->count++];
	*place = (struct place){ .topic = topic, .partition = partition };
	return place;
}

static bool is_place(const struct place *place, const char *topic, int32_t partition)
{
	return place->partition == partition && strcmp(place->topic, topic) == 0;
}

struct place *places_find(struct places *places, const char *topic, int32_t partition)
{
	unsigned i = places->last;

	if (i >= places->count || !is_place(&places->list[i], topic, partition))
		for (i = 0; i < places->count && !is_place(&places->list[i], topic, partition); i++)
			;
	if (i == places->count)
		return NULL;
	places->last = i;
	return &places->list[i];
}

void places_clear(struct places *places)
{
	places_drop_batch(places);
	places->count = 0;
	places->last = 0;
	count_stopped(places);
}

void place_take(struct place *place, struct kafka_message *message)
{
	kafka_message_done(&place->last);
	place->last = *message;
	message->handle = NULL;
	place->batched = true;
	place->next = place->last.offset + 1;
}

void places_drop_batch(struct places *places)
{
	for (unsigned i = 0; i < places->count; i++) {
		kafka_message_done(&places->list[i].last);
		places->list[i].batched = false;
	}
}

void places_hand_over(struct places *places)
{
	for (unsigned i = 0; i < places->count; i++) {
		struct place *place = &places->list[i];

		if (!place->batched)
			continue;
		place->leaving = true;
		place->dirty = false;
	}
	places_drop_batch(places);
}

void places_settle(struct places *places, bool committed)
{
	for (unsigned i = 0; i < places->count; i++) {
		struct place *place = &places->list[i];

		if (!place->leaving)
			continue;
		place->leaving = false;
		place->moved = place->moved || committed;
		place->dirty = place->dirty || !committed;
	}
}

struct stage_position place_position(const struct place *place)
{
	return (struct stage_position){ .topic = place->topic,
					.partition = place->partition,
					.next = place->batched ? place->next : place->resume,
					.probe = KAFKA_OFFSET_NONE,
					.last = place->batched ? &place->last : NULL };
}

unsigned places_batched(struct places *places)
{
	unsigned n = 0;

	for (unsigned i = 0; i < places->count; i++)
		if (places->list[i].batched)
			places->positions[n++] = place_position(&places->list[i]);
	return n;
}

/* --- where places go on ---------------------------------------------------------------------------------------------- */

void place_at(struct place *place, const struct stage_position *position)
{
	bool probing = position->probe != KAFKA_OFFSET_NONE;

	place->resume = position->next;
	place->next = probing ? position->probe : position->next;
	place->state = probing ? PLACE_PROBING : PLACE_READING;
	place->dirty = place->foreign = false;
}

/*
 * Every place that is not stopped is read on where it stands. All of them, as
 * the client does not seek in a partition that it stopped fetching.
 */
static int assign_anew(struct places *places, struct err *err)
{
	unsigned count = 0;

	for (unsigned i = 0; i < places->count; i++) {
		const struct place *place = &places->list[i];

		if (place->state != PLACE_STOPPED)
			places->offsets[count++] =
				(struct kafka_offset){ place->topic, place->partition, place->next, NULL };
	}
	count_stopped(places);
	return kafka_consumer_reassign(places->consumer, places->offsets, count, err);
}

static int go_on_at(struct places *places, unsigned count, struct err *err)
{
	bool stopped = false;

	for (unsigned i = 0; i < count; i++) {
		const struct stage_position *p = &places->positions[i];
		struct place *place = places_find(places, p->topic, p->partition);

		stopped = stopped || place->state == PLACE_STOPPED;
		place_at(place, p);
		places->offsets[i] = (struct kafka_offset){ p->topic, p->partition, place->next, NULL };
	}
	if (stopped)
		return assign_anew(places, err);
	return count ? kafka_consumer_seek(places->consumer, places->offsets, count, err) : 0;
}

int places_rewind(struct places *places, struct err *err)
{
	const struct commit_ops *commit = &places->stage->commit;
	bool all = commit->was_away && commit->was_away(commit->self);
	unsigned count = 0;

	for (unsigned i = 0; i < places->count; i++)
		if (all || places->list[i].dirty)
			places->positions[count++] = place_position(&places->list[i]);
	if (count && commit->rewind(commit->self, places->consumer, places->positions, count, err))
		return -1;
	return go_on_at(places, count, err);
}

void places_stop(struct places *places, struct place *place, const char *why)
{
	place->state = PLACE_STOPPED;
	places->look_ns = clock_monotonic_ns() + LOOK_NS;
	count_stopped(places);
	log_error("partition_stopped",
		  LOG_FIELDS(log_str("topic", place->topic), log_i64("partition", place->partition),
			     log_i64("offset", place->resume)),
		  "%s; the other partitions go on. Look at `penstock offsets ls`; `penstock offsets skip %s %s %d "
		  "--why ...` goes on behind what is missing (where Kafka keeps the offsets: with the stage's workers "
		  "stopped)",
		  why, places->stage->group, place->topic, place->partition);
}

int places_meet_gap(struct places *places, struct place *place, const char *why, struct err *err)
{
	int64_t low, high;

	if (place->state != PLACE_PROBING) {
		places_stop(places, place, why);
		return 0;
	}
	if (kafka_watermarks(places->consumer, place->topic, place->partition, &low, &high, err))
		return -1;
	if (place->resume < low || place->resume > high) {
		places_stop(places, place, why);
		return 0;
	}
	place->state = PLACE_READING;
	place->next = place->resume;
	return assign_anew(places, err);
}

/* Whether the stored offset can be read: somebody may have decided to go on behind the gap. */
static int can_go_on(struct places *places, const struct place *place, bool *ret, struct err *err)
{
	const struct commit_ops *commit = &places->stage->commit;
	const struct stage_position position = place_position(place);
	int64_t next, low, high;
	bool moved;

	if (commit->stored(commit->self, places->consumer, &position, &next, &moved, err) ||
	    kafka_watermarks(places->consumer, place->topic, place->partition, &low, &high, err))
		return -1;
	*ret = next >= low && next <= high && (moved || !place->foreign);
	return 0;
}

static int look_at(struct places *places, struct place *place, struct err *err)
{
	const struct commit_ops *commit = &places->stage->commit;
	bool can = false;

	if (can_go_on(places, place, &can, err))
		return -1;
	if (!can)
		return 0;
	places->positions[0] = place_position(place);
	if (commit->rewind(commit->self, places->consumer, places->positions, 1, err) || go_on_at(places, 1, err))
		return -1;
	log_info("partition_goes_on",
		 LOG_FIELDS(log_str("topic", place->topic), log_i64("partition", place->partition),
			    log_i64("offset", place->resume)),
		 "%s [%d] goes on at offset %" PRId64, place->topic, place->partition, place->resume);
	return 0;
}

void places_look(struct places *places)
{
	struct err trouble = ERR_INIT;

	if (places->stopped == 0 || clock_monotonic_ns() < places->look_ns)
		return;
	for (unsigned i = 0; i < places->count && trouble.kind == ERR_OK; i++)
		if (places->list[i].state == PLACE_STOPPED)
			look_at(places, &places->list[i], &trouble);
	if (trouble.kind != ERR_OK)
		log_warning("partition_still_stopped", NULL, "%s", trouble.text);
	places->look_ns = clock_monotonic_ns() + LOOK_NS;
}
