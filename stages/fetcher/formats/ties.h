#pragma once
/*
 * Numbers the records that agree in all of their key: 0, 1, 2, … Vendors cut
 * their windows on ts_recv, so no window splits such a group, and a group is
 * forgotten when ts_recv goes on.
 */
#include <stdint.h>

#include "common/str.h"

#define TIES_MAX 65536 /* different keys at one ts_recv; what comes after them gets numbers that are only unique */

struct tie_key {
	struct str symbol; /* stays where it is until ts_recv goes on */
	int64_t ts_event;
	uint64_t sequence;
	uint32_t publisher_id;
	uint32_t kind; /* of the record, and what else its key has */
	uint64_t more;
};

struct tie_entry;
struct tie_slot;

struct ties {
	int64_t ts_recv;
	struct tie_entry *entries;
	struct tie_slot *slots;  /* open addressing, by place among the entries */
	uint32_t count, slotted; /* entries, and how many of them have a slot: the first one gets it late */
	uint32_t room, generation;
	unsigned slot_bits;
	int32_t beyond;
};

int32_t ties_next(struct ties *ties, int64_t ts_recv, const struct tie_key *key);
void ties_release(struct ties *ties);
