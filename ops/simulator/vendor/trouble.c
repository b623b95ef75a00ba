/* A body that is cut, slow, stuck or wrong. */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "ops/simulator/vendor/faults.h"

#define TICKS_PER_SECOND 20
#define TICK_NS (NS_PER_SECOND / TICKS_PER_SECOND)

struct trouble {
	struct fault fault;
	struct body inner;
	int64_t sent;
};

static atomic_bool hurry; /* the server ends */

bool fault_wait(int64_t ns)
{
	while (ns > 0 && !hurry) {
		int64_t part = ns < TICK_NS ? ns : TICK_NS;
		struct timespec time = { 0, part };

		nanosleep(&time, NULL);
		ns -= part;
	}
	return !hurry;
}

void fault_end_waits(void)
{
	hurry = true;
}

/* How much may go out now without passing the place `at`. */
static size_t until(const struct trouble *t, int64_t at, size_t max)
{
	return at > t->sent && at - t->sent < (int64_t)max ? (size_t)(at - t->sent) : max;
}

static size_t allowed(const struct trouble *t, size_t max)
{
	size_t tick = (size_t)(t->fault.slow_bytes_per_second / TICKS_PER_SECOND + 1);

	max = until(t, t->fault.cut_after_bytes, max);
	max = until(t, t->fault.stall_after_bytes, max);
	return t->fault.slow_bytes_per_second > 0 && tick < max ? tick : max;
}

/* False: the server ends meanwhile. */
static bool wait_for_turn(const struct trouble *t)
{
	if (t->sent == t->fault.stall_after_bytes && !fault_wait(t->fault.stall_ms * (NS_PER_SECOND / 1000)))
		return false;
	return t->fault.slow_bytes_per_second <= 0 || fault_wait(TICK_NS);
}

static ssize_t read_troubled(void *self, uint8_t *to, size_t max)
{
	struct trouble *t = self;
	int64_t corrupt;
	ssize_t n;

	if (t->sent == t->fault.cut_after_bytes || !wait_for_turn(t))
		return -1;
	n = t->inner.read(t->inner.self, to, allowed(t, max));
	if (n <= 0)
		return n;
	corrupt = t->fault.corrupt_after_bytes - t->sent;
	if (corrupt >= 0 && corrupt < n)
		to[corrupt] = (uint8_t)~to[corrupt];
	t->sent += n;
	return n;
}

static void release_troubled(void *self)
{
	struct trouble *t = self;

	body_release(&t->inner);
	free(t);
}

void fault_trouble_body(const struct fault *fault, struct answer *answer)
{
	struct trouble *trouble = mem_zalloc(1, sizeof(*trouble));

	trouble->fault = *fault;
	trouble->inner = answer->body;
	answer->body = (struct body){ read_troubled, release_troubled, trouble, trouble->inner.size };
}
