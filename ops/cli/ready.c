/* `penstock ready`: one question to /readyz, for supervisors that have neither a shell nor curl, as in a container. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/http_json.h"
#include "common/mem.h"
#include "ops/cli/cli.h"
#include "ops/cli/health.h"

#define COMMAND "ready"
#define ANSWER_SECONDS 5

static char *own_url(const struct config *cfg, struct err *err)
{
	int64_t port = config_int(cfg, "http.port");

	if (port == 0)
		return err_set(err, ERR_FATAL, "http.port is 0, any free one: name the URL, or set the port"), NULL;
	return mem_printf("http://127.0.0.1:%lld/readyz", (long long)port);
}

/* What is missing stands in the answer, a line each. */
static int ask(const char *url, struct err *err)
{
	CLEANUP(freep) char *answer = NULL;
	const struct http_json_call call = { .method = "GET", .url = url, .seconds = ANSWER_SECONDS };
	long status = 0;

	if (http_text(&call, &status, &answer, err))
		return -1;
	answer[strcspn(answer, "\r\n")] = '\0';
	if (status != 200)
		return err_set(err, ERR_RECORD, "%s (HTTP %ld)", answer[0] ? answer : "not ready", status);
	puts("ready");
	return 0;
}

int command_ready(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(freep) char *url = NULL;
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	if (cli_leftover(COMMAND, argc, argv, 1))
		return EXIT_USAGE;
	url = argc > 0 ? mem_strdup(argv[0]) : own_url(cfg, &err);
	if (!url)
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	return ask(url, &err) ? cli_fail(COMMAND, &err) : EXIT_OK;
}
