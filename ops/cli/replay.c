/* replay: a topic's past is put into it again, by a run of its own. */
#include "ops/cli/replay.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/registry_remote.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/moment.h"

static const char *const stages[DATA_STAGES] = { [DATA_RAW] = "raw", [DATA_VALID] = "valid", [DATA_CLEAN] = "clean" };

static void replay_release(struct replay *replay)
{
	for (size_t i = 0; i < replay->symbol_count; i++)
		free(replay->symbols[i]);
	free(replay->symbols);
	free(replay->ranges);
	free(replay->records);
	free(replay->seen);
	kafka_filter_release(&replay->filter);
	topics_freep(&replay->topics);
}

/* --- options ------------------------------------------------------------------------------------------------------------ */

static int refuse(const char *option, const char *text, const char *takes)
{
	if (text)
		fprintf(stderr, "penstock " REPLAY_COMMAND ": %s takes %s, not '%s'\n", option, takes, text);
	else
		fprintf(stderr, "penstock " REPLAY_COMMAND ": %s is missing: %s\n", option, takes);
	return EXIT_USAGE;
}

static int read_schema(struct replay *replay, const char *text)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(400);

	replay->schema = text ? data_schema_find(text) : NULL;
	if (replay->schema)
		return 0;
	for (const struct data_schema *s = data_schemas; s->name; s++)
		buf_printf(&list, "%s%s", list.len ? ", " : "", s->name);
	return refuse("--schema", text, buf_text(&list));
}

static int read_stage(struct replay *replay, const char *text)
{
	for (unsigned i = 0; text && i < DATA_STAGES; i++)
		if (strcmp(text, stages[i]) == 0) {
			replay->stage = (enum data_stage)i;
			replay->stage_name = stages[i];
			return 0;
		}
	return refuse("--stage", text, "raw, valid or clean");
}

/* A number is an offset, of each partition. */
static int read_edge(struct replay_edge *ret, const char *option, const char *text, int64_t now_ns)
{
	*ret = (struct replay_edge){ .text = text };
	if (text && strcmp(text, "earliest") == 0) {
		ret->kind = EDGE_EARLIEST;
		return 0;
	}
	if (text && strcmp(text, "latest") == 0) {
		ret->kind = EDGE_LATEST;
		return 0;
	}
	if (text && text[0] && strspn(text, "0123456789") == strlen(text)) {
		ret->kind = EDGE_OFFSET;
		return cli_number(REPLAY_COMMAND, option, text, &ret->value) ? 0 : EXIT_USAGE;
	}
	ret->kind = EDGE_TIME;
	if (!text || !moment_read(text, now_ns, &ret->value))
		return refuse(option, text,
			      "an offset, a time when it came into the topic, " MOMENT_TEXT ", earliest or latest");
	if (ret->value <= now_ns)
		return 0;
	fprintf(stderr, "penstock " REPLAY_COMMAND ": %s %s is in the future\n", option, text);
	return EXIT_USAGE;
}

static int check_order(const struct replay *replay)
{
	const struct replay_edge *from = &replay->from, *to = &replay->to;

	if (from->kind != EDGE_LATEST && to->kind != EDGE_EARLIEST &&
	    !(from->kind == to->kind && from->kind >= EDGE_OFFSET && from->value >= to->value))
		return 0;
	fprintf(stderr, "penstock " REPLAY_COMMAND ": --from %s is not before --to %s\n", from->text, to->text);
	return EXIT_USAGE;
}

/* "A,B": twice the same is once. */
static int read_symbols(struct replay *replay, const char *text)
{
	CLEANUP(freep) char *copy = text ? mem_strdup(text) : NULL;
	char *rest = copy, *symbol;

	while (copy && (symbol = strsep(&rest, ","))) {
		bool known = false;

		if (!symbol[0])
			return refuse("--symbols", text, "symbols with commas between them");
		for (size_t i = 0; i < replay->symbol_count; i++)
			known |= strcmp(replay->symbols[i], symbol) == 0;
		if (known)
			continue;
		replay->symbols = mem_realloc(replay->symbols, replay->symbol_count + 1, sizeof(*replay->symbols));
		replay->symbols[replay->symbol_count++] = mem_strdup(symbol);
	}
	return 0;
}

/* 0, or the exit code. */
static int read_options(struct replay *replay, int argc, char **argv)
{
	const char *schema = cli_option(&argc, argv, "--schema"), *stage = cli_option(&argc, argv, "--stage"),
		   *from = cli_option(&argc, argv, "--from"), *to = cli_option(&argc, argv, "--to"),
		   *symbols = cli_option(&argc, argv, "--symbols");
	int64_t now_ns = clock_now_ns();

	replay->why = cli_option(&argc, argv, "--why");
	replay->into = cli_option(&argc, argv, "--into");
	replay->replays = cli_flag(&argc, argv, "--replays");
	replay->dry_run = cli_flag(&argc, argv, "--dry-run");
	replay->follow = cli_flag(&argc, argv, "--follow");
	replay->as_json = cli_flag(&argc, argv, "--json");
	if (cli_leftover(REPLAY_COMMAND, argc, argv, 0) || read_schema(replay, schema) || read_stage(replay, stage) ||
	    read_edge(&replay->from, "--from", from, now_ns) ||
	    read_edge(&replay->to, "--to", to ? to : "latest", now_ns) || check_order(replay) ||
	    read_symbols(replay, symbols))
		return EXIT_USAGE;
	if (!replay->dry_run || !(replay->follow || replay->why))
		return 0;
	fprintf(stderr, "penstock " REPLAY_COMMAND
			": --dry-run changes nothing: there is nothing to follow, and no reason to be given\n");
	return EXIT_USAGE;
}

/* --- the request -------------------------------------------------------------------------------------------------------- */

static json_t *request_of(const struct replay *replay)
{
	json_t *request = json_pack("{s:s, s:s}", "schema", replay->schema->name, "stage", stages[replay->stage]);
	json_t *ranges = json_array(), *symbols = json_array();

	for (unsigned i = 0; i < replay->range_count; i++)
		json_array_append_new(ranges, json_pack("{s:i, s:I, s:I}", "partition", replay->ranges[i].partition,
							"from", (json_int_t)replay->ranges[i].from, "to",
							(json_int_t)replay->ranges[i].to));
	json_object_set_new(request, "ranges", ranges);
	for (size_t i = 0; i < replay->symbol_count; i++)
		json_array_append_new(symbols, json_string(replay->symbols[i]));
	if (replay->symbol_count > 0)
		json_object_set(request, "symbols", symbols);
	json_decref(symbols);
	if (replay->replays)
		json_object_set_new(request, "replays", json_true());
	if (replay->into)
		json_object_set_new(request, "into", json_string(replay->into));
	return request;
}

static int ask(const struct replay *replay, bool dry_run, const struct config *cfg, json_t **ret, struct err *err)
{
	CLEANUP(json_freep) json_t *request = request_of(replay);
	CLEANUP(freep) char *body = NULL;

	if (dry_run)
		json_object_set_new(request, "dry_run", json_true());
	if (replay->why && json_object_set_new(request, "why", json_string(replay->why)))
		return err_set(err, ERR_FATAL, "--why is not UTF-8");
	body = json_dumps(request, JSON_COMPACT);
	if (!body)
		return err_set(err, ERR_FATAL, "what is said is not UTF-8");
	return api_call(cfg, "POST", "/api/v1/topic-replays", body, ret, err);
}

/* Whether there is a table already that it is to load into: nobody waits for a look into the topic to be told so. */
static int check_table(const struct replay *replay, const struct config *cfg, struct err *err)
{
	CLEANUP(json_freep) json_t *nothing = NULL;

	return replay->into ? ask(replay, true, cfg, &nothing, err) : 0;
}

static int show(const struct replay *replay)
{
	CLEANUP(json_freep) json_t *report = replay_report(replay);

	if (!replay->as_json)
		replay_print(replay);
	else if (json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return EXIT_OK;
}

int command_replay(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(replay_release) struct replay replay = { .schema = NULL };
	CLEANUP(json_freep) json_t *accepted = NULL;
	struct err err = ERR_INIT;
	int code;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail(REPLAY_COMMAND, &err), EXIT_USAGE;
	code = read_options(&replay, argc, argv);
	if (code)
		return code;
	log_open("penstock", LOG_ERROR); /* what the client tries meanwhile, the error sums up */
	if (registry_register(cfg, &err) || replay_ranges_find(&replay, cfg, &err) || check_table(&replay, cfg, &err) ||
	    replay_look(&replay, cfg, &err))
		return cli_fail(REPLAY_COMMAND, &err);
	if (replay.dry_run)
		return show(&replay);
	if (ask(&replay, false, cfg, &accepted, &err))
		return cli_fail(REPLAY_COMMAND, &err);
	return run_started(cfg, REPLAY_COMMAND, accepted, replay.follow, replay.as_json);
}
