#include "common/frame_ids.h"

#include <stdio.h>
#include <stdlib.h>

#define IDS_MAX 256

static struct {
	uint32_t id, in_messages;
} map[IDS_MAX];
static unsigned count;

void frame_ids_map(uint32_t id, uint32_t in_messages)
{
	for (unsigned i = 0; i < count; i++)
		if (map[i].id == id && map[i].in_messages == in_messages)
			return;
	if (count == IDS_MAX) {
		fprintf(stderr, "schema ids: more than %d\n", IDS_MAX);
		abort(); /* the lock is compiled in */
	}
	map[count].id = id;
	map[count++].in_messages = in_messages;
}

uint32_t frame_id_written(uint32_t id)
{
	for (unsigned i = 0; i < count; i++)
		if (map[i].id == id)
			return map[i].in_messages;
	return id;
}

uint32_t frame_id_read(uint32_t in_messages)
{
	if (count == 0)
		return in_messages;
	for (unsigned i = 0; i < count; i++)
		if (map[i].in_messages == in_messages)
			return map[i].id;
	return FRAME_ID_UNKNOWN;
}
