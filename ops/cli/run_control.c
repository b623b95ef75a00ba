/* run pause, resume, cancel, retry */
#include "ops/cli/run_control.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/backfill.h"
#include "ops/cli/cli.h"

struct control {
	const char *command; /* "run pause" */
	const char *done;    /* what is said of a run afterwards */
	bool takes_budget, follows;
};

static int ask(const struct config *cfg, const struct control *control, const char *run, const json_t *request,
	       json_t **ret, struct err *err)
{
	CLEANUP(freep) char *path = mem_printf("/api/v1/runs/%s/%s", run, strchr(control->command, ' ') + 1);
	CLEANUP(freep) char *body = json_dumps(request, JSON_COMPACT);

	return api_call(cfg, "POST", path, body, ret, err);
}

static int check_run(const struct control *control, int argc, char **argv)
{
	int code = cli_leftover(control->command, argc, argv, 1);

	if (code)
		return code;
	if (argc == 1 && argv[0][0] && strspn(argv[0], "0123456789") == strlen(argv[0]))
		return 0;
	fprintf(stderr, "penstock %s: it takes a run's number%s%s\n", control->command, argc == 1 ? ", not " : "",
		argc == 1 ? argv[0] : "");
	return EXIT_USAGE;
}

static int read_request(const struct control *control, int *argc, char **argv, json_t *request)
{
	const char *why = cli_option(argc, argv, "--why");
	const char *budget = control->takes_budget ? cli_option(argc, argv, "--budget") : NULL;

	if (why && json_object_set_new(request, "why", json_string(why)))
		return fprintf(stderr, "penstock %s: --why is not UTF-8\n", control->command), EXIT_USAGE;
	return backfill_budget(control->command, budget, request);
}

static int run_control(const struct control *control, int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *request = json_object();
	CLEANUP(json_freep) json_t *answer = NULL;
	bool as_json = cli_flag(&argc, argv, "--json"), wait = control->follows && cli_flag(&argc, argv, "--follow");
	struct err err = ERR_INIT;
	int code;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail(control->command, &err), EXIT_USAGE;
	code = read_request(control, &argc, argv, request);
	if (!code)
		code = check_run(control, argc, argv);
	if (code)
		return code;
	if (ask(cfg, control, argv[0], request, &answer, &err))
		return cli_fail(control->command, &err);
	if (wait)
		return run_started(cfg, control->command, answer, true, as_json);
	if (as_json && json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	else if (!as_json)
		printf("run %s %s\n", argv[0], control->done);
	return EXIT_OK;
}

int command_run_pause(int argc, char **argv)
{
	static const struct control control = { "run pause", "stands still; `penstock run resume` lets it go on", false,
						false };

	return run_control(&control, argc, argv);
}

int command_run_resume(int argc, char **argv)
{
	static const struct control control = { "run resume", "goes on", true, true };

	return run_control(&control, argc, argv);
}

int command_run_cancel(int argc, char **argv)
{
	static const struct control control = { "run cancel", "is cancelled; `penstock run retry` takes it up again",
						false, false };

	return run_control(&control, argc, argv);
}

int command_run_retry(int argc, char **argv)
{
	static const struct control control = { "run retry", "does again what failed of it", false, true };

	return run_control(&control, argc, argv);
}
