/* A body that is cut, slow, stuck or wrong. */
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "ops/simulator/vendor/faults.h"

#define TICKS_PER_SECOND 20

struct trouble {
	struct fault fault;
	struct body inner;
	int64_t sent;
};

static void wait_ns(int64_t ns)
{
	struct timespec time = { ns / NS_PER_SECOND, ns % NS_PER_SECOND };

	nanosleep(&time, NULL);
}

/* How much may go out now without passing the place `at`. */
static size_t until(const struct trouble *t, int64_t at, size_t max)
{
	return at > t->sent && at - t->sent < (int64_t)max ? (size_t)(at - t->sent) : max;
}

static size_t allowed(struct trouble *t, size_t max)
{
	size_t tick = (size_t)(t->fault.slow_bytes_per_second / TICKS_PER_SECOND + 1);

	max = until(t, t->fault.cut_after_bytes, max);
	max = until(t, t->fault.stall_after_bytes, max);
	if (t->fault.slow_bytes_per_second <= 0)
		return max;
	wait_ns(NS_PER_SECOND / TICKS_PER_SECOND);
	return max < tick ? max : tick;
}

static ssize_t read_troubled(void *self, uint8_t *to, size_t max)
{
	struct trouble *t = self;
	int64_t corrupt;
	ssize_t n;

	if (t->sent == t->fault.cut_after_bytes)
		return -1;
	if (t->sent == t->fault.stall_after_bytes)
		wait_ns(t->fault.stall_ms * (NS_PER_SECOND / 1000));
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
