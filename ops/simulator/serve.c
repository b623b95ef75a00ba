#include "ops/simulator/serve.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "ops/simulator/bars.h"
#include "ops/simulator/vendor/server.h"

static const char usage[] = "usage: penstock-simulator --listen ADDRESS:PORT [options]\n"
			    "\n"
			    "Speaks Databento's historical HTTP interface, with made-up data that the seed says.\n"
			    "Port 0 is a free one; the log line http_listening names it.\n"
			    "\n";

#define DAYS_MAX 84000 /* the year 2199 */

struct arguments {
	struct simulator_options options;
	struct fault faults[FAULTS_MAX];
	uint32_t fault_count;
};

enum option_kind {
	OPTION_TEXT,
	OPTION_NUMBER,
	OPTION_NUMBER_64,
	OPTION_DATE,
	OPTION_SWITCH,
	OPTION_KINDS,
	OPTION_FAULT
};

#define AT(member) offsetof(struct simulator_options, member)

static const struct {
	const char *name;
	enum option_kind kind;
	size_t at;
	uint64_t min, max;
	const char *value, *help;
} table[] = {
	{ "listen", OPTION_TEXT, AT(listen), 0, 0, "ADDRESS:PORT", "where" },
	{ "tls", OPTION_TEXT, AT(tls), 0, 0, "FILE", "speak HTTPS: a PEM file with key and certificate" },
	{ "seed", OPTION_NUMBER_64, AT(market.seed), 0, INT64_MAX, "N", "another seed, other data (1)" },
	{ "symbols", OPTION_NUMBER, AT(market.shares), 1, BARS_SYMBOLS_MAX, "N", "how many shares (50)" },
	{ "start", OPTION_DATE, AT(market.first_day), 0, 0, "DATE", "first day that is available (2020-01-01)" },
	{ "end", OPTION_DATE, AT(market.end_day), 0, 0, "DATE", "the day behind the last one (2025-01-01)" },
	{ "dbn-version", OPTION_NUMBER, AT(dbn_version), 1, 3, "N", "of DBN bodies (3)" },
	{ "broken-permille", OPTION_NUMBER, AT(defects.permille), 0, 1000, "N",
	  "so many of 1,000 records are broken (0)" },
	{ "broken-kinds", OPTION_KINDS, AT(defects.kinds), 0, 0, "LIST", "only in these ways, see below" },
	{ "degraded-permille", OPTION_NUMBER, AT(degraded_permille), 0, 1000, "N",
	  "so many of 1,000 days are degraded (0)" },
	{ "weekend-422", OPTION_SWITCH, AT(weekend_422), 0, 0, "", "a window without a trading day is an error" },
	{ "batch-polls", OPTION_NUMBER, AT(batch_polls), 0, 1000, "N", "looks until a batch job is done (0: at once)" },
	{ "fault", OPTION_FAULT, 0, 0, 0, "KEY=VALUE,...", "a fault from the start, see below; may be repeated" },
	{ "help", OPTION_SWITCH, 0, 0, 0, "", "this text" },
};

#define OPTIONS (sizeof(table) / sizeof(table[0]))
#define OPTION_HELP (OPTIONS - 1)

static void print_usage(void)
{
	fputs(usage, stdout);
	for (size_t i = 0; i < OPTIONS; i++) {
		char name[48];

		snprintf(name, sizeof(name), "--%s %s", table[i].name, table[i].value);
		printf("  %-28s %s\n", name, table[i].help);
	}
	puts("\nKeys of a fault:");
	fault_help();
	puts("\nWays to break a record:");
	for (uint32_t i = 0; defect_name(i); i++)
		printf("  %s\n", defect_name(i));
	puts("\nExit codes: 0 ended by a signal, 2 wrong arguments or the address is taken.");
}

static int set_number(void *to, size_t option, const char *text, struct err *err)
{
	uint64_t min = table[option].min, max = table[option].max, n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n < min || n > max)
		return err_set(err, ERR_FATAL, "--%s %s: a number from %" PRIu64 " to %" PRIu64 " is needed",
			       table[option].name, text, min, max);
	if (table[option].kind == OPTION_NUMBER_64)
		*(uint64_t *)to = n;
	else
		*(uint32_t *)to = (uint32_t)n;
	return 0;
}

static int set_date(int32_t *to, size_t option, const char *text, struct err *err)
{
	int64_t ns;

	if (!clock_parse(str_of(text), &ns) || ns < 0 || ns > DAYS_MAX * NS_PER_DAY)
		return err_set(err, ERR_FATAL, "--%s %s: a date such as 2024-01-02 is needed", table[option].name,
			       text);
	*to = clock_day_of(ns);
	return 0;
}

static int add_fault(struct arguments *arguments, const char *text, struct err *err)
{
	if (arguments->fault_count == FAULTS_MAX)
		return err_set(err, ERR_FATAL, "more than %d faults", FAULTS_MAX);
	if (fault_parse_text(text, &arguments->faults[arguments->fault_count++], err))
		return err_wrap(err, "--fault %s", text);
	return 0;
}

static int apply(struct arguments *arguments, size_t option, const char *value, struct err *err)
{
	void *to = (char *)&arguments->options + table[option].at;

	switch (table[option].kind) {
	case OPTION_TEXT:
		*(const char **)to = value;
		return 0;
	case OPTION_NUMBER:
	case OPTION_NUMBER_64:
		return set_number(to, option, value, err);
	case OPTION_DATE:
		return set_date(to, option, value, err);
	case OPTION_SWITCH:
		*(bool *)to = true;
		return 0;
	case OPTION_KINDS:
		if (!defects_parse(str_of(value), to))
			return err_set(err, ERR_FATAL, "--broken-kinds %s: names of the list are needed", value);
		return 0;
	default:
		return add_fault(arguments, value, err);
	}
}

/* 1: help is asked for. */
static int parse_arguments(struct arguments *arguments, int argc, char **argv, struct err *err)
{
	struct option options[OPTIONS + 1] = { 0 };
	int id;

	for (size_t i = 0; i < OPTIONS; i++)
		options[i] = (struct option){ table[i].name, table[i].kind != OPTION_SWITCH, NULL, 256 + (int)i };
	opterr = 0;
	while ((id = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (id == ':' || id == '?')
			return err_set(err, ERR_FATAL, id == ':' ? "%s needs a value" : "unknown option '%s'",
				       argv[optind - 1]);
		if (id - 256 == (int)OPTION_HELP)
			return 1;
		if (apply(arguments, (size_t)(id - 256), optarg, err))
			return -1;
	}
	if (optind < argc)
		return err_set(err, ERR_FATAL, "unknown argument '%s'", argv[optind]);
	if (arguments->options.market.first_day >= arguments->options.market.end_day)
		return err_set(err, ERR_FATAL, "--start must be before --end");
	return 0;
}

static void wait_for_signal(const sigset_t *signals)
{
	int signal;

	sigwait(signals, &signal);
	log_info("stopping", LOG_FIELDS(log_i64("signal", signal)), "signal %d", signal);
}

static int run(const struct arguments *arguments, struct err *err)
{
	CLEANUP(simulator_freep) struct simulator *simulator = simulator_open(&arguments->options);
	CLEANUP(server_freep) struct server *server = NULL;
	sigset_t signals;
	uint64_t id;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL); /* of the server's threads too */
	signal(SIGPIPE, SIG_IGN);
	for (uint32_t i = 0; i < arguments->fault_count; i++)
		if (faults_add(&simulator->faults, &arguments->faults[i], &id, err))
			return -1;
	if (server_open(&server, simulator, err))
		return -1;
	log_info("http_listening",
		 LOG_FIELDS(log_str("address", arguments->options.listen), log_i64("port", server_port(server))),
		 "listening on %s, port %d", arguments->options.listen, server_port(server));
	wait_for_signal(&signals);
	return 0;
}

int serve(int argc, char **argv)
{
	static struct arguments arguments = {
		.options = { .market = { .seed = 1, .shares = 50 }, .dbn_version = 3 },
	};
	struct simulator_options *options = &arguments.options;
	struct err err = ERR_INIT;
	int parsed;

	options->market.first_day = clock_days((struct civil){ 2020, 1, 1 });
	options->market.end_day = clock_days((struct civil){ 2025, 1, 1 });
	options->defects.kinds = defects_default();
	parsed = parse_arguments(&arguments, argc, argv, &err);
	options->defects.seed = options->market.seed;
	if (parsed > 0) {
		print_usage();
		return EXIT_OK;
	}
	log_open("simulator", LOG_INFO);
	if (parsed < 0 || run(&arguments, &err)) {
		fprintf(stderr, "penstock-simulator: %s; see penstock-simulator --listen - --help\n", err.text);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}
