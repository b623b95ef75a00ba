/*
 * rules try: a candidate set over what stands in a raw topic, beside the set
 * of today. Each record is judged as it would have been when it came.
 */
#include "ops/cli/rules_try.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/registry_remote.h"
#include "ops/cli/cli.h"
#include "ops/cli/moment.h"
#include "stages/validator/settings.h"

#define COMMAND "rules try"

static void trial_release(struct trial *trial)
{
	rules_release(&trial->today);
	rules_release(&trial->candidate);
	fate_tally_release(&trial->tally);
	topics_freep(&trial->topics);
}

/* --- options ------------------------------------------------------------------------------------------------------------ */

static int usage_schema(const char *name)
{
	fprintf(stderr, "penstock " COMMAND ": %s%s%s; --schema takes", name ? "there is no schema '" : "name a schema",
		name ? name : "", name ? "'" : "");
	for (const struct data_schema *s = data_schemas; s->name; s++)
		fprintf(stderr, "%s %s", s == data_schemas ? "" : ",", s->name);
	fputs("\n", stderr);
	return EXIT_USAGE;
}

/* A time, or how long ago that was. */
static int read_since(struct trial *trial, const char *text)
{
	int64_t now_ns = clock_now_ns();

	trial->since_ns = PAST_FROM_BEGINNING;
	if (!text)
		return 0;
	if (!moment_read(text, now_ns, &trial->since_ns)) {
		fprintf(stderr, "penstock " COMMAND ": --since takes " MOMENT_TEXT ", not '%s'\n", text);
		return EXIT_USAGE;
	}
	if (trial->since_ns <= now_ns)
		return 0;
	fprintf(stderr, "penstock " COMMAND ": --since %s is in the future\n", text);
	return EXIT_USAGE;
}

/* 0, or the exit code. */
static int read_options(struct trial *trial, int *argc, char **argv)
{
	const char *schema = cli_option(argc, argv, "--schema"), *since = cli_option(argc, argv, "--since"),
		   *sample = cli_option(argc, argv, "--sample");

	trial->schema = schema ? data_schema_find(schema) : NULL;
	if (!trial->schema)
		return usage_schema(schema);
	if (!cli_number(COMMAND, "--sample", sample, &trial->sample) || read_since(trial, since))
		return EXIT_USAGE;
	if (!sample || trial->sample > 0)
		return 0;
	fprintf(stderr, "penstock " COMMAND ": --sample takes a number of records from 1\n");
	return EXIT_USAGE;
}

static int open_rules(struct trial *trial, const char *path, const struct config *cfg)
{
	const struct data_type *type = &data_types[trial->schema->type];
	int over = rules_open(&trial->candidate, COMMAND, path);

	if (over)
		return over;
	if (trial->candidate.type != type->raw) {
		fprintf(stderr, "penstock " COMMAND ": %s has rules for %s, and %s is %s\n", path,
			trial->candidate.type->name, trial->schema->name, type->name);
		return EXIT_USAGE;
	}
	return rules_open_installed(&trial->today, COMMAND, cfg, type->raw);
}

/* --- the trial ---------------------------------------------------------------------------------------------------------- */

/* Of the schema; what else is in the topic says which of both mistakes it was. */
static int no_record(const struct trial *trial, struct err *err)
{
	char since[CLOCK_TEXT_MAX + 8] = "";

	if (trial->since_ns != PAST_FROM_BEGINNING) {
		memcpy(since, " since ", 8);
		clock_format(trial->since_ns, 0, since + 7);
	}
	return err_set(err, ERR_RECORD,
		       "no record of %s stands in %s%s (%lld of other schemas, %lld that do not decode)",
		       trial->schema->name, trial->ranges.topic, since, (long long)trial->tally.other_schemas,
		       (long long)trial->tally.undecoded);
}

static int run_trial(struct trial *trial, const struct config *cfg, struct err *err)
{
	int64_t began_ns = clock_monotonic_ns();

	if (registry_register(cfg, err) || topics_open(&trial->topics, cfg, err) ||
	    past_ranges_find(&trial->ranges, cfg,
			     topics_name(trial->topics, data_types[trial->schema->type].topics[DATA_RAW]),
			     trial->since_ns, err))
		return -1;
	fate_tally_open(&trial->tally, trial->schema, trial->today.set, trial->candidate.set);
	if (trial->sample >= trial->ranges.entries)
		trial->sample = 0;
	if (trial->sample ? past_read_some(&trial->tally, &trial->ranges, trial->sample, cfg, err)
			  : past_read_all(&trial->tally, &trial->ranges, cfg, err))
		return -1;
	trial->took_ns = clock_monotonic_ns() - began_ns;
	return trial->tally.records > 0 ? 0 : no_record(trial, err);
}

static bool changes_nothing(const struct trial *trial)
{
	for (unsigned change = 0; change < CHANGES; change++)
		if (trial->tally.changes[change] > 0)
			return false;
	return true;
}

static int show(const struct trial *trial, bool as_json)
{
	CLEANUP(json_freep) json_t *report = trial_report(trial);

	if (!as_json)
		trial_print(trial, report);
	else if (json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return changes_nothing(trial) ? EXIT_OK : EXIT_FAILED;
}

int command_rules_try(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(freep) struct trial *trial = mem_zalloc(1, sizeof(*trial));
	bool as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;
	int code;

	if (cli_config_of(&validator_config, &cfg, &argc, argv, &err))
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	code = read_options(trial, &argc, argv);
	if (!code)
		code = cli_leftover(COMMAND, argc, argv, 1);
	if (!code && argc < 1)
		code = (fprintf(stderr, "penstock " COMMAND ": name a rule file (see `penstock help " COMMAND "`)\n"),
			EXIT_USAGE);
	if (!code)
		code = open_rules(trial, argv[0], cfg);
	if (!code) {
		log_open("penstock", LOG_ERROR); /* what the client tries meanwhile, the error sums up */
		code = run_trial(trial, cfg, &err) ? cli_fail(COMMAND, &err) : show(trial, as_json);
	}
	trial_release(trial);
	return code;
}
