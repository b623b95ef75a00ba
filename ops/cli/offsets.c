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

static void print_json(const struct positions *positions)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(JSON_MAX);
	struct json_out out = JSON_OUT(&text);

	json_put_open(&out, '[');
	for (unsigned i = 0; i < positions->count; i++)
		position_json(&positions->items[i], &out);
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
		       position_behind(p), position_state_name(position_state(p)),
		       p->in_database ? "database" : "kafka");
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
