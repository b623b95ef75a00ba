#include "ops/cli/cli.h"
#include "ops/cli/decode.h"

/* getopt wants the command's own name in front. */
static int decode(int argc, char **argv)
{
	return command_decode(argc + 1, argv - 1);
}

const struct command cli_commands[] = {
	{ "run full", "[--subscription NAME]... [--cost-max-usd N] [--refetch] [--follow] [--json]",
	  "trigger a full ETL run", command_run_full },
	{ "run show", "[ID] [--json]", "what became of a run (default: the last one)", command_run_show },
	{ "runs", "[--limit N] [--json]", "the last runs", command_runs },
	{ "status", "[--json]", "the pipeline at a glance; exit code 1 where something is wrong", command_status },
	{ "cat", "TOPIC [-n N] [--partition P] [--follow]", "records of a topic as JSON lines", command_cat },
	{ "decode", "FILE... [--metadata]", "a vendor's file as JSON lines", decode },
	{ "subscription check", "NAME [--json]", "what a vendor would bring and cost; exit code 1 above cost_max_usd",
	  command_subscription_check },
	{ "config test-api", "SOURCE [--verbose] [--json]", "is a vendor's API there, and does it take our key?",
	  command_config_test_api },
	{ "rules check", "FILE [--json]", "the rules of a file, or the first that is wrong with it",
	  command_rules_check },
	{ "rules test", "FILE [--data FILE] [--json]", "run a rule file over its examples (tests/FILE)",
	  command_rules_test },
	{ "topics apply", "[--dry-run]", "create missing topics, write first offsets", command_topics_apply },
	{ "topics check", "", "compare the topic table with the broker", command_topics_check },
	{ "offsets ls", "[--json]", "where every group stands; exit code 1 where one cannot go on",
	  command_offsets_ls },
	{ "offsets skip", "GROUP TOPIC PARTITION --why TEXT [--to OFFSET] [--dry-run]",
	  "go on behind records that are gone (--to: or earliest, latest)", command_offsets_skip },
	{ "db migrate", "[--dry-run]", "bring the database's tables up to date", command_db_migrate },
	{ 0 },
};
