#include "common/places.h"

#include <string.h>

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
	places_end_batch(places, false);
	places->count = 0;
	places->last = 0;
}

void place_take(struct place *place, struct kafka_message *message)
{
	kafka_message_done(&place->last);
	place->last = *message;
	message->handle = NULL;
	place->batched = true;
	place->next = place->last.offset + 1;
}

void places_end_batch(struct places *places, bool committed)
{
	for (unsigned i = 0; i < places->count; i++) {
		struct place *place = &places->list[i];

		if (committed && place->batched) {
			place->dirty = false;
			place->moved = true;
		}
		kafka_message_done(&place->last);
		place->batched = false;
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

unsigned places_batched(const struct places *places, struct stage_position *list)
{
	unsigned n = 0;

	for (unsigned i = 0; i < places->count; i++)
		if (places->list[i].batched)
			list[n++] = place_position(&places->list[i]);
	return n;
}

unsigned places_dirty(const struct places *places, struct stage_position *list)
{
	unsigned n = 0;

	for (unsigned i = 0; i < places->count; i++)
		if (places->list[i].dirty)
			list[n++] = place_position(&places->list[i]);
	return n;
}
