/* offsets ls */
#include "ops/cli/offsets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/json_out.h"
#include "common/log.h"

#define JSON_MAX (16 * 1024 * 1024)

void offsets_view_release(struct offsets_view *view)
{
	positions_release(&view->positions);
	kafka_admin_freep(&view->admin);
	pg_freep(&view->pg);
	topics_freep(&view->topics);
	config_freep(&view->cfg);
}

int offsets_view_list(struct offsets_view *view, struct err *err)
{
	if (topics_open(&view->topics, view->cfg, err))
		return -1;
	positions_list(&view->positions, view->topics);
	return 0;
}

int offsets_view_read(struct offsets_view *view, struct err *err)
{
	log_open("penstock", LOG_ERROR); /* what the client tries meanwhile, the error sums up */
	if (kafka_admin_open(&view->admin, view->cfg, err) || pg_open(&view->pg, view->cfg, "penstock.offsets", err) ||
	    positions_read_all(&view->positions, view->admin, view->pg, err))
		return -1;
	return 0;
}

static void put_offset(struct json_out *out, const char *key, int64_t offset)
{
	json_put_key(out, key);
	if (offset == KAFKA_OFFSET_NONE)
		json_put_null(out);
	else
		json_put_int(out, offset);
}

/* Offsets behind the position; those of transactions' marks are counted too. */
static int64_t lag_of(const struct position *p)
{
	int64_t next = p->next == KAFKA_OFFSET_NONE ? p->low : p->next;

	return p->high > next ? p->high - next : 0;
}

static void put_position(struct json_out *out, const struct position *p)
{
	json_put_open(out, '{');
	json_put_key(out, "group");
	json_put_str(out, str_of(p->group));
	json_put_key(out, "topic");
	json_put_str(out, str_of(p->topic->name));
	json_put_key(out, "partition");
	json_put_int(out, p->partition);
	put_offset(out, "position", p->next);
	put_offset(out, "low", p->low);
	put_offset(out, "high", p->high);
	json_put_key(out, "lag");
	json_put_int(out, lag_of(p));
	json_put_key(out, "state");
	json_put_str(out, str_of(position_state_name(position_state(p))));
	json_put_key(out, "kept_in");
	json_put_str(out, str_of(p->in_database ? "database" : "kafka"));
	json_put_key(out, "message");
	json_put_str(out, str_of(p->stopped));
	json_put_close(out, '}');
}

static void print_json(const struct positions *positions)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(JSON_MAX);
	struct json_out out = JSON_OUT(&text);

	json_put_open(&out, '[');
	for (unsigned i = 0; i < positions->count; i++)
		put_position(&out, &positions->items[i]);
	json_put_close(&out, ']');
	puts(buf_text(&text));
}

static const char *offset_text(int64_t offset, char text[PG_INT_MAX])
{
	return offset == KAFKA_OFFSET_NONE ? "-" : pg_int_text(offset, text);
}

static int wider(int width, const char *text)
{
	return (int)strlen(text) > width ? (int)strlen(text) : width;
}

static void print_table(const struct positions *positions)
{
	CLEANUP(buf_release) struct buf message = BUF_INIT(JSON_MAX);
	char next[PG_INT_MAX], low[PG_INT_MAX], high[PG_INT_MAX];
	int group = 5, topic = 5; /* widths */

	for (unsigned i = 0; i < positions->count; i++) {
		group = wider(group, positions->items[i].group);
		topic = wider(topic, positions->items[i].topic->name);
	}
	printf("%-*s  %-*s %4s %10s %10s %10s %8s  %-8s %s\n", group, "group", topic, "topic", "part", "position",
	       "low", "high", "behind", "state", "kept in");
	for (unsigned i = 0; i < positions->count; i++) {
		const struct position *p = &positions->items[i];

		printf("%-*s  %-*s %4d %10s %10s %10s %8" PRId64 "  %-8s %s\n", group, p->group, topic, p->topic->name,
		       p->partition, offset_text(p->next, next), offset_text(p->low, low), offset_text(p->high, high),
		       lag_of(p), position_state_name(position_state(p)), p->in_database ? "database" : "kafka");
	}
	for (unsigned i = 0; i < positions->count; i++)
		if (position_is_gap(&positions->items[i])) {
			buf_reset(&message);
			position_explain(&positions->items[i], &message);
			printf("GAP  %s\n", buf_text(&message));
		}
}

int command_offsets_ls(int argc, char **argv)
{
	CLEANUP(offsets_view_release) struct offsets_view view = { .positions = POSITIONS_INIT };
	bool as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;

	if (cli_config(&view.cfg, &argc, argv, &err))
		return cli_fail("offsets ls", &err), EXIT_USAGE;
	if (cli_leftover("offsets ls", argc, argv, 0))
		return EXIT_USAGE;
	if (offsets_view_list(&view, &err) || offsets_view_read(&view, &err))
		return cli_fail("offsets ls", &err);
	if (as_json)
		print_json(&view.positions);
	else
		print_table(&view.positions);
	for (unsigned i = 0; i < view.positions.count; i++)
		if (position_is_gap(&view.positions.items[i]))
			return EXIT_FAILED;
	return EXIT_OK;
}
