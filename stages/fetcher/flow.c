#include "stages/fetcher/flow.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

/* Of an attempt that was closed while one orchestrator took over from another nothing is said any more. */
#define ENDED_NS (30 * NS_PER_SECOND)

static int compare(const void *a, const void *b)
{
	int64_t left = ((const struct flow_attempt *)a)->attempt, right = ((const struct flow_attempt *)b)->attempt;

	return left < right ? -1 : left > right;
}

/* All but what ended. */
static void forget(struct flow *flow)
{
	free(flow->runs);
	free(flow->attempts);
	*flow = (struct flow){ .ended = flow->ended, .ended_count = flow->ended_count };
}

void flow_release(struct flow *flow)
{
	forget(flow);
	free(flow->ended);
	*flow = (struct flow){ 0 };
}

static bool take_attempt(struct flow *flow, json_t *item)
{
	json_int_t attempt, fetched, through;

	if (json_unpack(item, "[I, I, I!]", &attempt, &fetched, &through) || through < 0 || fetched < through)
		return false;
	flow->attempts[flow->attempt_count++] = (struct flow_attempt){ attempt, fetched };
	return !__builtin_add_overflow(flow->on_way, fetched - through, &flow->on_way);
}

static bool take_all(struct flow *flow, json_t *runs, json_t *attempts)
{
	json_t *item;
	size_t i;

	flow->runs = mem_zalloc(json_array_size(runs) + 1, sizeof(*flow->runs));
	flow->attempts = mem_zalloc(json_array_size(attempts) + 1, sizeof(*flow->attempts));
	json_array_foreach(runs, i, item) flow->runs[flow->run_count++] = json_integer_value(item);
	json_array_foreach(attempts, i, item) if (!take_attempt(flow, item)) return false;
	qsort(flow->attempts, flow->attempt_count, sizeof(*flow->attempts), compare);
	return true;
}

bool flow_holds(const struct flow *flow, int64_t run)
{
	for (unsigned i = 0; i < flow->run_count; i++)
		if (flow->runs[i] == run)
			return true;
	return false;
}

/* Records of the attempt that the orchestrator knew of. */
static int64_t told(const struct flow *flow, int64_t attempt)
{
	const struct flow_attempt key = { .attempt = attempt };
	const struct flow_attempt *found = NULL;

	if (flow->attempt_count > 0)
		found = bsearch(&key, flow->attempts, flow->attempt_count, sizeof(key), compare);
	return found ? found->fetched : 0;
}

static bool is_counted(const struct flow *flow, const struct flow_end *end)
{
	return flow_holds(flow, end->run) && told(flow, end->attempt) < end->fetched &&
	       clock_monotonic_ns() < end->until_ns;
}

static void forget_told(struct flow *flow)
{
	unsigned left = 0;

	for (unsigned i = 0; i < flow->ended_count; i++)
		if (is_counted(flow, &flow->ended[i]))
			flow->ended[left++] = flow->ended[i];
	flow->ended_count = left;
}

bool flow_take(struct flow *flow, json_t *message)
{
	const char *action;
	json_t *runs, *attempts;
	json_int_t most;

	if (json_unpack(message, "{s:s, s:I, s:o, s:o}", "action", &action, "most", &most, "runs", &runs, "attempts",
			&attempts) ||
	    strcmp(action, "flow") != 0)
		return false;
	forget(flow);
	flow->most = most;
	if (!take_all(flow, runs, attempts))
		flow_release(flow);
	forget_told(flow);
	return true;
}

int64_t flow_room(const struct flow *flow)
{
	int64_t room = flow->most - flow->on_way;

	for (unsigned i = 0; i < flow->ended_count; i++)
		room -= flow->ended[i].fetched - told(flow, flow->ended[i].attempt);
	return room;
}

int64_t flow_since(const struct flow *flow, const struct cursor *cursor)
{
	return flow_holds(flow, cursor->run) ? cursor->fetched - told(flow, cursor->attempt) : 0;
}

void flow_end(struct flow *flow, const struct cursor *cursor)
{
	if (flow_since(flow, cursor) <= 0 || flow->ended_count >= flow->most)
		return;
	flow->ended = mem_realloc(flow->ended, flow->ended_count + 1, sizeof(*flow->ended));
	flow->ended[flow->ended_count++] =
		(struct flow_end){ cursor->run, cursor->attempt, cursor->fetched, clock_monotonic_ns() + ENDED_NS };
}
