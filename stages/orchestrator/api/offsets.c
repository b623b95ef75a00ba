#include "stages/orchestrator/api/offsets.h"

#include <pthread.h>
#include <string.h>

#include "common/clock.h"
#include "stages/orchestrator/api/api.h"

#define TEXT_MAX ((size_t)4 * 1024 * 1024)

/* Written by the core every few seconds, so that no request has to ask a broker, which may be away. */
static struct {
	pthread_mutex_t lock;
	struct buf offsets, lag; /* JSON; empty: nothing is known */
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER, .offsets = BUF_INIT(TEXT_MAX), .lag = BUF_INIT(TEXT_MAX) };

static void begin(struct json_out *out, const char *at, const char *list)
{
	json_put_open(out, '{');
	json_put_key(out, "at");
	json_put_str(out, str_of(at));
	json_put_key(out, list);
	json_put_open(out, '[');
}

static void end(struct json_out *out)
{
	json_put_close(out, ']');
	json_put_close(out, '}');
}

static void put_offsets(const struct positions *positions, const char *at)
{
	struct json_out out = JSON_OUT(&kept.offsets);

	begin(&out, at, "offsets");
	for (unsigned i = 0; i < positions->count; i++)
		position_json(&positions->items[i], &out);
	end(&out);
}

static void put_number(struct json_out *out, const char *key, int64_t value)
{
	json_put_key(out, key);
	json_put_int(out, value);
}

/* One group at one topic: so many places from there. */
static void put_sum(struct json_out *out, const struct position *first, unsigned count)
{
	int64_t position = 0, end = 0, lag = 0;
	enum position_state state = POSITION_OK;

	for (unsigned i = 0; i < count; i++) {
		const struct position *p = &first[i];

		if (position_is_gap(p))
			state = position_state(p);
		if (p->low == KAFKA_OFFSET_NONE)
			continue;
		position += p->next > p->low ? p->next : p->low;
		end += p->high;
		lag += position_behind(p);
	}
	json_put_open(out, '{');
	json_put_key(out, "group");
	json_put_str(out, str_of(first->group));
	json_put_key(out, "topic");
	json_put_str(out, str_of(first->topic->name));
	put_number(out, "partitions", count);
	put_number(out, "position", position);
	put_number(out, "end", end);
	put_number(out, "lag", lag);
	json_put_key(out, "state");
	json_put_str(out, str_of(position_state_name(state)));
	json_put_close(out, '}');
}

/* Partitions of one group and topic are neighbours. */
static void put_lag(const struct positions *positions, const char *at)
{
	struct json_out out = JSON_OUT(&kept.lag);
	unsigned from = 0;

	begin(&out, at, "lag");
	for (unsigned i = 1; i <= positions->count; i++) {
		const struct position *first = &positions->items[from], *here = &positions->items[i];

		if (i < positions->count && here->topic == first->topic && strcmp(here->group, first->group) == 0)
			continue;
		put_sum(&out, first, i - from);
		from = i;
	}
	end(&out);
}

void api_offsets_take(const struct positions *positions)
{
	char at[CLOCK_TEXT_MAX];

	clock_format(clock_now_ns(), 3, at);
	pthread_mutex_lock(&kept.lock);
	buf_reset(&kept.offsets);
	buf_reset(&kept.lag);
	if (positions) {
		put_offsets(positions, at);
		put_lag(positions, at);
	}
	pthread_mutex_unlock(&kept.lock);
}

static int answer(struct api_call *call, const struct buf *text)
{
	bool known;

	pthread_mutex_lock(&kept.lock);
	known = text->len > 0;
	buf_put(&call->response->body, text->data, text->len);
	pthread_mutex_unlock(&kept.lock);
	if (!known)
		api_problem(call->response, 503,
			    "where groups stand is not known here: this orchestrator stands by, or has not reached the "
			    "broker yet; `penstock offsets ls` asks the broker itself");
	return 0;
}

int api_offsets(struct api_call *call, struct err *err)
{
	(void)err;
	return answer(call, &kept.offsets);
}

int api_lag(struct api_call *call, struct err *err)
{
	(void)err;
	return answer(call, &kept.lag);
}
