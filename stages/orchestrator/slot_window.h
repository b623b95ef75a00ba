#pragma once
/*
 * How many attempts may wait in a slot: as many as it got done in a second,
 * at least two, so that one waits while another is at work. Small tasks
 * travel in crowds, which share transactions all the way; behind large ones,
 * whatever is more urgent does not wait long.
 */
#include <stdint.h>

/* Of one source's topic. All zero: nothing was seen yet. */
struct slot_window {
	int64_t since_ns;    /* monotonic: when the second began */
	int64_t outstanding; /* attempts, when last looked */
	int64_t done;        /* since then */
	int64_t per_slot;
};

/* outstanding: attempts in all the slots now; most: in one of them. */
int64_t slot_window_look(struct slot_window *window, int64_t outstanding, int32_t slots, int64_t most, int64_t now_ns);

/* So many were sent. */
void slot_window_sent(struct slot_window *window, int64_t attempts);
