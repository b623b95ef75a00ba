/* The guides' `quarantine analyze`: the dead letters of some days, by what is wrong with them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/dlq.h"
#include "ops/cli/table.h"

#define DAYS_DEFAULT 7
#define COUNTED_MAX 1000 /* groups; the rest is the smallest */
#define SHOWN_MAX 20     /* lines of a table; messages with values in them are many */

/* What is counted, and how the report names it. */
static const struct {
	const char *name, *by, *error_type, *title;
} groups[] = {
	{ "by_class", "class", "", "by class" },
	{ "by_error_type", "error_type", "", "by error type" },
	{ "business_logic_violations", "message", "BusinessLogicValidation", "business logic violations" },
	{ "by_rule", "rule", "", "by rule" },
	{ "by_schema", "schema", "", "by schema" },
	{ "by_symbol", "symbol", "", "by symbol" },
	{ "by_day", "day", "", "by day of the market" },
};

static int count(const struct config *cfg, unsigned group, const char *since, json_t *summary, struct err *err)
{
	CLEANUP(json_freep) json_t *answer = NULL;
	CLEANUP(freep)
	char *path =
		mem_printf("/api/v1/dead-letters/summary?limit=%d&by=%s%s%s&since=%s", COUNTED_MAX, groups[group].by,
			   groups[group].error_type[0] ? "&error_type=" : "", groups[group].error_type, since);

	if (api_call(cfg, "GET", path, NULL, &answer, err))
		return -1;
	json_object_set(summary, groups[group].name, json_object_get(answer, "summary"));
	return 0;
}

static int64_t total_of(const json_t *summary)
{
	int64_t total = 0;
	size_t i;
	json_t *row;

	json_array_foreach(json_object_get(summary, "by_class"), i, row) total +=
		json_integer_value(json_object_get(row, "dead_letters"));
	return total;
}

static int make(const struct config *cfg, int64_t days, json_t **ret, struct err *err)
{
	CLEANUP(json_freep) json_t *summary = json_object();
	char since[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX];
	int64_t now = clock_now_ns();

	clock_format(now - days * NS_PER_DAY, 3, since);
	clock_format(now, 3, until);
	json_object_set_new(summary, "from", json_string(since));
	json_object_set_new(summary, "to", json_string(until));
	json_object_set_new(summary, "total_quarantined_records", json_integer(0));
	for (unsigned i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		if (count(cfg, i, since, summary, err))
			return -1;
	json_object_set_new(summary, "total_quarantined_records", json_integer(total_of(summary)));
	*ret = STEAL(summary);
	return 0;
}

static void print(const json_t *summary)
{
	printf("Total quarantined records: %" JSON_INTEGER_FORMAT " (%s to %s)\n",
	       json_integer_value(json_object_get(summary, "total_quarantined_records")),
	       json_string_value(json_object_get(summary, "from")), json_string_value(json_object_get(summary, "to")));
	for (unsigned i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		CLEANUP(table_freep) struct table *table = table_new("group dead_letters symbols last_failed_at");
		size_t at;
		json_t *row;

		json_array_foreach(json_object_get(summary, groups[i].name), at, row) if (at < SHOWN_MAX)
			table_add(table, row);
		if (at == 0)
			continue;
		printf("\n%s\n", groups[i].title);
		table_print(table);
		if (at > SHOWN_MAX)
			printf("and %s%zu more: penstock dlq summary --by %s%s%s --since %s --all\n",
			       at == COUNTED_MAX ? "at least " : "", at - SHOWN_MAX, groups[i].by,
			       groups[i].error_type[0] ? " --error-type " : "", groups[i].error_type,
			       json_string_value(json_object_get(summary, "from")));
	}
}

static int export_summary(const json_t *summary, struct err *err)
{
	char day[CLOCK_TEXT_MAX];
	CLEANUP(freep) char *path = NULL;

	clock_format_date(clock_day_of(clock_now_ns()), day);
	path = mem_printf("quarantine_summary_%.4s%.2s%.2s.json", day, day + 5, day + 8);
	if (json_dump_file(summary, path, JSON_INDENT(2)))
		return err_set(err, ERR_FATAL, "%s: it cannot be written", path);
	fprintf(stderr, "written: %s\n", path);
	return 0;
}

int command_quarantine_analyze(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *summary = NULL;
	bool as_json = cli_flag(&argc, argv, "--json"), to_file = cli_flag(&argc, argv, "--export-summary");
	const char *days_text = cli_option(&argc, argv, "--days");
	int64_t days = DAYS_DEFAULT;
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("quarantine analyze", &err), EXIT_USAGE;
	if (cli_leftover("quarantine analyze", argc, argv, 0) ||
	    !cli_number("quarantine analyze", "--days", days_text, &days))
		return EXIT_USAGE;
	if (make(cfg, days, &summary, &err) || (to_file && export_summary(summary, &err)))
		return cli_fail("quarantine analyze", &err);
	if (as_json && json_dumpf(summary, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	else if (!as_json)
		print(summary);
	return EXIT_OK;
}
