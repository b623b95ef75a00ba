/* offsets ls */
#include "ops/cli/offsets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/json_out.h"
#include "common/log.h"
#include "ops/cli/table.h"

#define JSON_MAX (16 * 1024 * 1024)
#define COLUMNS "group topic partition position low high lag state kept_in"

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

/* A JSON array. */
static void put_all(const struct positions *positions, struct buf *text)
{
	struct json_out out = JSON_OUT(text);

	json_put_open(&out, '[');
	for (unsigned i = 0; i < positions->count; i++)
		position_json(&positions->items[i], &out);
	json_put_close(&out, ']');
}

static void print_json(const struct positions *positions)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(JSON_MAX);

	put_all(positions, &text);
	puts(buf_text(&text));
}

static void print_table(const struct positions *positions)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(JSON_MAX), message = BUF_INIT(JSON_MAX);
	CLEANUP(table_freep) struct table *table = table_new(COLUMNS);
	CLEANUP(json_freep) json_t *rows = NULL;
	json_t *row;
	size_t at;

	put_all(positions, &text);
	rows = json_loads(buf_text(&text), 0, NULL);
	json_array_foreach(rows, at, row) table_add(table, row);
	pager_open();
	table_print(table);
	for (unsigned i = 0; i < positions->count; i++)
		if (position_is_gap(&positions->items[i])) {
			buf_reset(&message);
			position_explain(&positions->items[i], &message);
			printf("GAP  %s\n", buf_text(&message));
		}
	pager_close();
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
