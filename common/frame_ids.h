#pragma once
/*
 * The schema ids in front of messages. As a rule they are those of
 * schemas/registry.lock; with a registry of another make (registry.url) they
 * are those that it gave, and this is where one becomes the other.
 */
#include <stdint.h>

#define FRAME_ID_UNKNOWN UINT32_MAX /* no schema of ours */

/* Before other threads begin. The first of an id is what is written, all are read. Ids of the lock mean nothing in messages then. */
void frame_ids_map(uint32_t id, uint32_t in_messages);

/* What is written for the lock's id, and the lock's id for what is read. */
uint32_t frame_id_written(uint32_t id);
uint32_t frame_id_read(uint32_t in_messages);
