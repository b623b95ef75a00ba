#include "ops/cli/dlq.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/dlq_pages.h"
#include "ops/cli/table.h"

#define POLL_MS 500
#define COLUMNS "id state failed_at class schema symbol day rules message"

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

/* --- watch ----------------------------------------------------------------------------------------------------------------- */

static int newest(const struct config *cfg, int64_t *ret, struct err *err)
{
	CLEANUP(json_freep) json_t *answer = NULL;

	if (api_call(cfg, "GET", "/api/v1/dead-letters?limit=1", NULL, &answer, err))
		return -1;
	*ret = json_integer_value(json_object_get(json_array_get(json_object_get(answer, "dead_letters"), 0), "id"));
	return 0;
}

struct watch {
	struct table *table;
	int64_t seen;
	bool as_json;
};

static int show(void *self, const json_t *letter, struct err *err)
{
	struct watch *w = self;
	int64_t id = json_integer_value(json_object_get(letter, "id"));

	(void)err;
	if (id > w->seen)
		w->seen = id;
	if (!w->as_json)
		table_add(w->table, letter);
	else if (json_dumpf(letter, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	return 0;
}

static int watch(const struct config *cfg, const char *filter, struct watch *w, struct err *err)
{
	const struct timespec pause = { 0, POLL_MS * 1000000L };

	while (!stopped) {
		CLEANUP(freep)
		char *query = mem_printf("above=%" PRId64 "%s%s", w->seen, filter[0] ? "&" : "", filter);

		if (dlq_oldest_first(cfg, query, show, w, err)) {
			if (err->kind != ERR_RETRY)
				return -1;
			err_clear(err); /* the orchestrator is away for a moment */
		}
		table_print(w->table);
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
	return 0;
}

int command_dlq_watch(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(query_string_release) struct query_string query = QUERY_STRING("dlq watch");
	CLEANUP(table_freep) struct table *table = table_new(COLUMNS);
	struct watch w = { .table = table, .as_json = cli_flag(&argc, argv, "--json") };
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("dlq watch", &err), EXIT_USAGE;
	while (argc > 0)
		if (!query_string_take(&query, &argc, &argv))
			return EXIT_USAGE;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (newest(cfg, &w.seen, &err) || watch(cfg, buf_text(&query.text), &w, &err))
		return cli_fail("dlq watch", &err);
	return EXIT_OK;
}

/* --- review ---------------------------------------------------------------------------------------------------------------- */

int command_dlq_review(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *request = json_object();
	CLEANUP(json_freep) json_t *made = NULL;
	CLEANUP(freep) char *body = NULL;
	const char *up_to = cli_option(&argc, argv, "--up-to"), *why = cli_option(&argc, argv, "--why");
	int64_t id = 0;
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("dlq review", &err), EXIT_USAGE;
	if (cli_leftover("dlq review", argc, argv, 0) || !cli_number("dlq review", "--up-to", up_to, &id))
		return EXIT_USAGE;
	if (up_to)
		json_object_set_new(request, "up_to", json_integer(id));
	if (why)
		json_object_set_new(request, "why", json_string(why));
	body = json_dumps(request, JSON_COMPACT);
	if (api_call(cfg, "POST", "/api/v1/dead-letters/reviews", body, &made, &err))
		return cli_fail("dlq review", &err);
	printf("reviewed up to dead letter %" JSON_INTEGER_FORMAT
	       "; `penstock dlq ls --new` shows what comes after it\n",
	       json_integer_value(json_object_get(made, "up_to")));
	return EXIT_OK;
}
