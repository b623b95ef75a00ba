#include "stages/orchestrator/slot_window.h"

#include "common/clock.h"

#define LEAST 2

int64_t slot_window_look(struct slot_window *window, int64_t outstanding, int32_t slots, int64_t most, int64_t now_ns)
{
	if (outstanding < window->outstanding)
		window->done += window->outstanding - outstanding;
	window->outstanding = outstanding;
	if (window->per_slot == 0 || now_ns - window->since_ns >= NS_PER_SECOND) {
		int64_t seconds = (now_ns - window->since_ns) / NS_PER_SECOND;

		window->per_slot = seconds > 0 && slots > 0 ? window->done / seconds / slots : 0;
		if (window->per_slot < LEAST)
			window->per_slot = LEAST;
		window->done = 0;
		window->since_ns = now_ns;
	}
	return window->per_slot < most ? window->per_slot : most;
}

void slot_window_sent(struct slot_window *window, int64_t attempts)
{
	window->outstanding += attempts;
}
