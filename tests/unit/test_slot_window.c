/* How many attempts wait in a slot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "stages/orchestrator/slot_window.h"

#define SLOTS 6
#define MOST 16

/* As often as 20 ms go by: what was done since is made up for, as far as the window has room. */
static int64_t play(struct slot_window *window, int64_t *now_ns, int64_t seconds, double done_per_second)
{
	int64_t per_slot = 0, outstanding = window->outstanding;
	double done = 0;

	for (int64_t end = *now_ns + seconds * NS_PER_SECOND; *now_ns < end; *now_ns += 20 * NS_PER_MS) {
		done += done_per_second / 50;
		while (done >= 1 && outstanding > 0) {
			done--;
			outstanding--;
		}
		per_slot = slot_window_look(window, outstanding, SLOTS, MOST, *now_ns);
		slot_window_sent(window, per_slot * SLOTS > outstanding ? per_slot * SLOTS - outstanding : 0);
		outstanding = window->outstanding;
	}
	return per_slot;
}

static void two_wait_while_nothing_is_known(void **state)
{
	struct slot_window window = { 0 };

	(void)state;
	assert_int_equal(slot_window_look(&window, 0, SLOTS, MOST, 5 * NS_PER_SECOND), 2);
	assert_int_equal(slot_window_look(&window, 0, 0, MOST, 9 * NS_PER_SECOND), 2); /* a topic of no partitions */
	assert_int_equal(slot_window_look(&window, 0, SLOTS, 1, 10 * NS_PER_SECOND), 1);
}

static void small_tasks_widen_it_and_large_ones_close_it(void **state)
{
	struct slot_window window = { 0 };
	int64_t now_ns = NS_PER_SECOND;

	(void)state;
	assert_in_range(play(&window, &now_ns, 5, 30), 4, 5);
	assert_int_equal(play(&window, &now_ns, 5, 1000), MOST);
	assert_int_equal(play(&window, &now_ns, 20, 0.5), 2);
}

/* What was done in a minute in which nobody looked is no minute's worth to send at once. */
static void a_pause_is_no_speed(void **state)
{
	struct slot_window window = { 0 };
	int64_t now_ns = NS_PER_SECOND;

	(void)state;
	play(&window, &now_ns, 5, 60);
	assert_int_equal(slot_window_look(&window, 0, SLOTS, MOST, now_ns + 60 * NS_PER_SECOND), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_wait_while_nothing_is_known),
		cmocka_unit_test(small_tasks_widen_it_and_large_ones_close_it),
		cmocka_unit_test(a_pause_is_no_speed),
	};

	return cmocka_run_group_tests_name("slot window", tests, NULL, NULL);
}
