/* What a replay would put back: the ranges are read as its tasks read them. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/replay.h"

#define LIST_MAX 400 /* bytes of a list in a message */

/* --- what was put back before ------------------------------------------------------------------------------------------ */

struct attempts {
	int64_t *list;
	size_t count;
};

static void attempts_release(struct attempts *a)
{
	free(a->list);
}

static void add_page(struct attempts *a, const json_t *rows)
{
	size_t n = json_array_size(rows);

	a->list = mem_realloc(a->list, a->count + n + 1, sizeof(*a->list));
	for (size_t i = 0; i < n; i++)
		a->list[a->count++] = json_integer_value(json_object_get(json_array_get(rows, i), "attempt"));
}

static int read_attempts(const struct replay *replay, const struct config *cfg, struct attempts *a, struct err *err)
{
	CLEANUP(freep) char *cursor = mem_strdup("");

	do {
		CLEANUP(json_freep) json_t *page = NULL;
		CLEANUP(freep)
		char *path =
			mem_printf("/api/v1/topic-replays?stage=%s&record_type=%s&limit=10000%s%s", replay->stage_name,
				   data_types[replay->schema->type].name, cursor[0] ? "&cursor=" : "", cursor);
		const char *next;

		if (api_call(cfg, "GET", path, NULL, &page, err))
			return -1;
		add_page(a, json_object_get(page, "attempts"));
		next = json_string_value(json_object_get(page, "next_cursor"));
		free(cursor);
		cursor = mem_strdup(next ? next : "");
	} while (cursor[0]);
	return 0;
}

/* --- looking ----------------------------------------------------------------------------------------------------------- */

static bool all_seen(const struct replay *replay)
{
	for (size_t i = 0; i < replay->symbol_count; i++)
		if (!replay->seen[i])
			return false;
	return true;
}

static void count(struct replay *replay, const struct kafka_message *m)
{
	unsigned i = 0;

	while (replay->ranges[i].partition != m->partition)
		i++;
	replay->records[i]++;
	if (replay->symbol_count > 0)
		replay->seen[kafka_filter_symbol(&replay->filter, m->key)] = true;
}

static bool take(void *self, const struct kafka_message *m)
{
	struct replay *replay = self;
	enum kafka_fate fate = kafka_filter_judge(&replay->filter, m);

	replay->counts[fate]++;
	if (fate != KAFKA_PUT_BACK)
		return true;
	count(replay, m);
	replay->enough = !replay->dry_run && all_seen(replay);
	return !replay->enough;
}

/* Nothing of what was asked for, or not of all symbols: which, and what there is instead. */
static int refuse(const struct replay *replay, struct err *err)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(LIST_MAX);

	for (size_t i = 0; i < replay->symbol_count; i++)
		if (!replay->seen[i] && list.len < LIST_MAX / 2)
			buf_printf(&list, "%s%.*s", list.len ? ", " : "", STR_ARG(replay->filter.symbols[i]));
	if (list.len > 0)
		return err_set(err, ERR_RECORD, "nothing of %s is to be put back from %s in this range",
			       buf_text(&list), replay->topic);
	for (unsigned fate = 0; fate < KAFKA_FATES; fate++)
		if (fate != KAFKA_PUT_BACK && replay->counts[fate] > 0)
			buf_printf(&list, "%s%" PRId64 " %s", list.len ? ", " : "", replay->counts[fate],
				   kafka_fate_names[fate]);
	return err_set(err, ERR_RECORD, "nothing of %s is to be put back from %s in this range%s%s",
		       replay->schema->name, replay->topic, list.len ? "; left out: " : "", buf_text(&list));
}

int replay_look(struct replay *replay, const struct config *cfg, struct err *err)
{
	CLEANUP(attempts_release) struct attempts before = { .count = 0 };

	if (!replay->replays && read_attempts(replay, cfg, &before, err))
		return -1;
	kafka_filter_open(&replay->filter, replay->schema, replay->stage, replay->symbols, replay->symbol_count,
			  before.list, before.count);
	replay->records = mem_zalloc(replay->range_count, sizeof(*replay->records));
	replay->seen = mem_zalloc(replay->symbol_count + 1, sizeof(*replay->seen));
	if (kafka_past_read(cfg, replay->ranges, replay->range_count, take, replay, err))
		return -1;
	return replay->counts[KAFKA_PUT_BACK] > 0 && all_seen(replay) ? 0 : refuse(replay, err);
}

/* --- telling ----------------------------------------------------------------------------------------------------------- */

json_t *replay_report(const struct replay *replay)
{
	json_t *report = json_pack("{s:s, s:s, s:s, s:s, s:s}", "topic", replay->topic, "schema", replay->schema->name,
				   "stage", replay->stage_name, "from", replay->from.text, "to", replay->to.text);
	json_t *ranges = json_array();

	for (unsigned fate = 0; fate < KAFKA_FATES; fate++)
		json_object_set_new(report, kafka_fate_names[fate], json_integer(replay->counts[fate]));
	json_object_set_new(report, "gone", json_integer(replay->gone));
	for (unsigned i = 0; i < replay->range_count; i++)
		json_array_append_new(
			ranges, json_pack("{s:i, s:I, s:I, s:I}", "partition", replay->ranges[i].partition, "from",
					  (json_int_t)replay->ranges[i].from, "to", (json_int_t)replay->ranges[i].to,
					  "records", (json_int_t)replay->records[i]));
	json_object_set_new(report, "ranges", ranges);
	return report;
}

void replay_print(const struct replay *replay)
{
	const char *separator = "left out: ";

	printf("would put %" PRId64 " records of %s into %s again\n", replay->counts[KAFKA_PUT_BACK],
	       replay->schema->name, replay->topic);
	for (unsigned fate = 0; fate < KAFKA_FATES; fate++) {
		if (fate == KAFKA_PUT_BACK || replay->counts[fate] == 0)
			continue;
		printf("%s%" PRId64 " %s", separator, replay->counts[fate], kafka_fate_names[fate]);
		separator = ", ";
	}
	if (separator[0] == ',')
		putchar('\n');
	if (replay->gone > 0)
		printf("what stood before is gone by retention: %" PRId64 " offsets\n", replay->gone);
	printf("partition          from            to       records\n");
	for (unsigned i = 0; i < replay->range_count; i++)
		printf("%9" PRId32 " %13" PRId64 " %13" PRId64 " %13" PRId64 "\n", replay->ranges[i].partition,
		       replay->ranges[i].from, replay->ranges[i].to, replay->records[i]);
}
