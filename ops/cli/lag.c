/* `penstock lag`: what waits for every group, topic by topic. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_in.h"
#include "common/kafka_peek.h"
#include "common/mem.h"
#include "ops/cli/offsets.h"
#include "ops/cli/table.h"

#define PEEK_MS 10000

/* One group at one topic. */
struct lag {
	const char *group, *topic;
	int64_t partitions, waiting; /* of these some hold a record that waits */
	int64_t position, end, lag;  /* sums over partitions */
	int64_t oldest_ms;           /* when the oldest that waits was written; 0: none waits */
	enum position_state state;   /* the worst of its partitions; POSITION_OK where it can go on */
	int64_t members;             /* -1: it is no group of Kafka's */
};

struct lags {
	struct lag *items;
	unsigned count;
	struct kafka_peek *peeks; /* of each position that is not at its partition's end */
	unsigned peek_count;
};

static void lags_release(struct lags *lags)
{
	free(lags->items);
	free(lags->peeks);
}

/* --- what waits -------------------------------------------------------------------------------------------------------- */

/* Where its group would read next: what is gone is not waiting. */
static int64_t next_of(const struct position *p)
{
	return p->next > p->low ? p->next : p->low;
}

/* Offsets alone do not tell whether a record waits: transactions' marks have offsets, too. */
static int peek_all(struct lags *lags, const struct positions *positions, const struct config *cfg, struct err *err)
{
	lags->peeks = mem_zalloc((size_t)positions->count + 1, sizeof(*lags->peeks));
	for (unsigned i = 0; i < positions->count; i++) {
		const struct position *p = &positions->items[i];

		if (p->low != KAFKA_OFFSET_NONE && next_of(p) < p->high)
			lags->peeks[lags->peek_count++] = (struct kafka_peek){ .topic = p->topic->name,
									       .partition = p->partition,
									       .from = next_of(p) };
	}
	return lags->peek_count > 0 ? kafka_peek(cfg, lags->peeks, lags->peek_count, PEEK_MS, err) : 0;
}

/* A topic has one group at most, so that topic and partition name the place. */
static const struct kafka_peek *peek_of(const struct lags *lags, const struct position *p)
{
	for (unsigned i = 0; i < lags->peek_count; i++)
		if (lags->peeks[i].partition == p->partition && strcmp(lags->peeks[i].topic, p->topic->name) == 0)
			return lags->peeks[i].outcome == KAFKA_PEEK_RECORD ? &lags->peeks[i] : NULL;
	return NULL;
}

static struct lag *lag_of(struct lags *lags, const struct position *p)
{
	for (unsigned i = 0; i < lags->count; i++)
		if (strcmp(lags->items[i].group, p->group) == 0 && strcmp(lags->items[i].topic, p->topic->name) == 0)
			return &lags->items[i];
	lags->items = mem_realloc(lags->items, (size_t)lags->count + 1, sizeof(*lags->items));
	lags->items[lags->count] = (struct lag){ .group = p->group, .topic = p->topic->name };
	return &lags->items[lags->count++];
}

static void add(struct lags *lags, const struct position *p)
{
	const struct kafka_peek *peek = peek_of(lags, p);
	struct lag *lag = lag_of(lags, p);

	lag->partitions++;
	if (position_is_gap(p))
		lag->state = position_state(p);
	if (p->low == KAFKA_OFFSET_NONE)
		return;
	lag->position += next_of(p);
	lag->end += p->high;
	if (!peek)
		return;
	lag->waiting++;
	lag->lag += p->high - peek->offset;
	if (lag->oldest_ms == 0 || peek->timestamp_ms < lag->oldest_ms)
		lag->oldest_ms = peek->timestamp_ms;
}

/* The orchestrator reads without a group of Kafka's. */
static int count_members(struct lags *lags, const struct topics *topics, struct kafka_admin *admin, struct err *err)
{
	for (unsigned i = 0; i < lags->count; i++) {
		struct lag *lag = &lags->items[i];
		const struct lag *before = i > 0 ? &lags->items[i - 1] : NULL;
		unsigned members = 0;

		lag->members = -1;
		if (strcmp(lag->group, topics_group(topics, "penstock.orchestrator")) == 0)
			continue;
		if (before && strcmp(before->group, lag->group) == 0)
			members = (unsigned)before->members;
		else if (kafka_admin_members(admin, lag->group, &members, err))
			return -1;
		lag->members = members;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct lag *x = a, *y = b;
	int by_group = strcmp(x->group, y->group);

	return by_group ? by_group : strcmp(x->topic, y->topic);
}

static int read_lags(struct lags *lags, struct offsets_view *view, struct err *err)
{
	if (offsets_view_list(view, err) || offsets_view_read(view, err) ||
	    peek_all(lags, &view->positions, view->cfg, err))
		return -1;
	for (unsigned i = 0; i < view->positions.count; i++)
		add(lags, &view->positions.items[i]);
	qsort(lags->items, lags->count, sizeof(*lags->items), compare);
	return count_members(lags, view->topics, view->admin, err);
}

/* --- showing ----------------------------------------------------------------------------------------------------------- */

static json_t *null_unless(bool known, json_int_t value)
{
	return known ? json_integer(value) : json_null();
}

static json_t *row_of(const struct lag *lag, int64_t now_ms)
{
	int64_t age_s = (now_ms - lag->oldest_ms) / 1000;

	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:s}", "group", lag->group, "topic", lag->topic,
			 "partitions", (json_int_t)lag->partitions, "waiting", (json_int_t)lag->waiting, "position",
			 (json_int_t)lag->position, "end", (json_int_t)lag->end, "lag", (json_int_t)lag->lag,
			 "oldest_s", null_unless(lag->waiting > 0, age_s > 0 ? age_s : 0), "members",
			 null_unless(lag->members >= 0, lag->members), "state", position_state_name(lag->state));
}

static void show(const struct lags *lags, bool as_json)
{
	CLEANUP(json_freep) json_t *rows = json_pack("{s:[]}", "lag");
	CLEANUP(table_freep) struct table *table = table_new(NULL);
	int64_t now_ms = clock_now_ns() / NS_PER_MS;

	for (unsigned i = 0; i < lags->count; i++) {
		json_t *row = row_of(&lags->items[i], now_ms);

		table_add(table, row);
		json_array_append_new(json_object_get(rows, "lag"), row);
	}
	if (!as_json)
		table_print(table);
	else if (json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
}

int command_lag(int argc, char **argv)
{
	CLEANUP(offsets_view_release) struct offsets_view view = { .positions = POSITIONS_INIT };
	CLEANUP(lags_release) struct lags lags = { .items = NULL };
	bool as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;

	if (cli_config(&view.cfg, &argc, argv, &err))
		return cli_fail("lag", &err), EXIT_USAGE;
	if (cli_leftover("lag", argc, argv, 0))
		return EXIT_USAGE;
	if (read_lags(&lags, &view, &err))
		return cli_fail("lag", &err);
	show(&lags, as_json);
	for (unsigned i = 0; i < lags.count; i++)
		if (lags.items[i].state != POSITION_OK)
			return EXIT_FAILED;
	return EXIT_OK;
}
