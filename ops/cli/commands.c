#include "ops/cli/backfill.h"
#include "ops/cli/breaker.h"
#include "ops/cli/cli.h"
#include "ops/cli/decode.h"
#include "ops/cli/dlq.h"
#include "ops/cli/health.h"
#include "ops/cli/listing.h"
#include "ops/cli/replay.h"
#include "ops/cli/run_control.h"
#include "ops/cli/token.h"

/* getopt wants the command's own name in front. */
static int decode(int argc, char **argv)
{
	return command_decode(argc + 1, argv - 1);
}

/* What every list of the API takes. */
#define PAGES_ALONE "[--limit N] [--cursor C | --all] [--no-pager] [--json]"
#define PAGES " " PAGES_ALONE
#define LETTERS \
	"[--where \"rule = 'X' and symbol = 'Y'\"] [--class C] [--rule R] [--schema S] [--symbol S] " \
	"[--subscription NAME] [--run N] [--day DAY] [--stage S] [--since TIME] " \
	"[--state new|seen|replayed|resolved|discarded] [--new]"
#define ONE_LETTER " [--id ID]"

const struct command cli_commands[] = {
	{ "run full", "[--subscription NAME]... [--cost-max-usd N] [--refetch] [--follow] [--json]",
	  "trigger a full ETL run", command_run_full },
	{ "run show", "[ID] [--json]", "what became of a run (default: the last one)", command_run_show },
	{ "run pause", "ID [--why TEXT] [--json]", "let a run stand still where it is", command_run_pause },
	{ "run resume", "ID [--budget CALLS|USD] [--why TEXT] [--follow] [--json]",
	  "let a run go on that stands still; one whose budget is spent with a larger one", command_run_resume },
	{ "run cancel", "ID [--why TEXT] [--json]", "end a run where it is", command_run_cancel },
	{ "run retry", "ID [--why TEXT] [--follow] [--json]",
	  "do again what failed of a run, or was left out when it was cancelled", command_run_retry },
	{ "runs", "[--status S] [--kind K]" PAGES, "the runs, the newest first", command_runs },
	{ "status", "[--comprehensive] [--check-db] [--check-api] [--json]",
	  "the pipeline at a glance; exit code 1 where something is wrong", command_status },
	{ "alarms", PAGES_ALONE, "what is wrong now", command_alarms },
	{ "ledger", "[RUN] [--by attempt|subscription|outcome] [--subscription NAME]" PAGES,
	  "what became of the records that were fetched, of each attempt; by subscription or outcome, of one run (the last)",
	  command_ledger },
	{ "coverage", "[SUBSCRIPTION] [--symbol S] [--from DAY] [--to DAY] [--state S]" PAGES,
	  "which days of a vendor's data are here; of what came by its interface, not in files", command_coverage },
	{ "symbols", "[--subscription NAME]" PAGES, "symbols, and the days that there are of them", command_symbols },
	{ "why", "SYMBOL TIME" PAGES,
	  "where a row came from: request, run, attempt, topic and offsets, rule set, dead letters, what it said before",
	  command_why },
	{ "bars", "SYMBOL START END [--interval 1s|1m|1h|1d|eod] [--dataset D] [--as-of TIME] [--no-pager] [--json]",
	  "bars of a symbol, from one day to another; --as-of: as they were known then", command_bars },
	{ "restatements",
	  "[--symbol S] [--from DAY] [--to DAY] [--kind restated|withdrawn] [--table T] [--run N] [--since TIME]" PAGES,
	  "what rows said before a vendor corrected or withdrew them, the newest first", command_restatements },
	{ "withdrawals", "[--subscription NAME] [--run N]" PAGES,
	  "windows fetched again of which the vendor has fewer rows: how many went, or why none did",
	  command_withdrawals },
	{ "dlq summary",
	  "[--by class|error_type|rule|message|schema|symbol|day|subscription|state] [--error-type E] " LETTERS PAGES,
	  "how many dead letters there are of what", command_dlq_summary },
	{ "dlq ls", LETTERS PAGES, "dead letters, the newest first", command_dlq_ls },
	{ "dlq show", "ID [--json]", "one dead letter with its record", command_dlq_show },
	{ "dlq watch", LETTERS " [--json]", "dead letters as they come", command_dlq_watch },
	{ "dlq export", "[--format json|csv|avro] [--output FILE | --to FOLDER] " LETTERS,
	  "dead letters for other programs; --to: a JSON file for each day and schema", command_dlq_export },
	{ "dlq review", "[--up-to ID] [--why TEXT]",
	  "book that these were looked at; `dlq ls --new` begins behind them", command_dlq_review },
	{ "dlq reviews", PAGES_ALONE, "who looked at them, and how far", command_dlq_reviews },
	{ "dlq replay",
	  "[--dry-run] [--rules FILE] [--max-replays N] [--why TEXT] [--follow] " LETTERS ONE_LETTER " [--json]",
	  "put these dead letters back where they were refused, a record N times at most (1); --dry-run: judge them as now",
	  command_dlq_replay },
	{ "dlq resolve", "[--why TEXT] " LETTERS ONE_LETTER " [--json]", "book that these dead letters are dealt with",
	  command_dlq_resolve },
	{ "dlq discard", "--why TEXT " LETTERS ONE_LETTER " [--json]",
	  "give these dead letters up: nobody replays them", command_dlq_discard },
	{ "dlq reopen", "--why TEXT " LETTERS ONE_LETTER " [--json]",
	  "take back that these dead letters were discarded or resolved", command_dlq_reopen },
	{ "replay",
	  "--schema NAME --stage raw|valid|clean --from OFFSET|TIME|earliest [--to OFFSET|TIME|latest] [--symbols A,B] "
	  "[--replays] [--into SUFFIX] [--dry-run] [--why TEXT] [--follow] [--json]",
	  "put a topic's past into it again, by when it came; --into: into tables of their own, beside the real ones; --replays: what was put back before, too; --dry-run: tell what that is",
	  command_replay },
	{ "diff", "SUFFIX [--schema NAME] [--examples N] [--drop] [--json]",
	  "what `replay --into SUFFIX` loaded otherwise than is in the real tables; exit code 1 where it did; --drop: drop its tables",
	  command_diff },
	{ "backfill",
	  "SUBSCRIPTION [--symbols A,B|@FILE] [--from DAY] [--to DAY] [--reprocess missing|failed|all] [--newest-first] "
	  "[--budget 500calls|2.50usd] [--why TEXT] [--json] | --approve HASH [--why TEXT] [--follow] [--json]",
	  "plan what is missing of a vendor's data, both days included, and what it costs; --approve: buy just that",
	  command_backfill },
	{ "backfills", "[--subscription NAME] [--hash HASH]" PAGES, "the plans of backfills, the newest first",
	  command_backfills },
	{ "breaker ls", "[--kind subscription|source|stage] [--state closed|open|half_open]" PAGES,
	  "what is held back because too much of it went wrong, or was", command_breaker_ls },
	{ "breaker reset", "NAME --why TEXT [--kind subscription|source] [--json]",
	  "let what is held back go on now; a record of it stays in the audit", command_breaker_reset },
	{ "quarantine analyze", "[--days N] [--export-summary] [--json]",
	  "the dead letters of some days, by what is wrong", command_quarantine_analyze },
	{ "quality",
	  "tables|stored|bars|trades|instruments|missing-days [--days N] [--exact] [--from DAY] [--to DAY] [--dataset D] "
	  "[--symbol S] [--interval I]" PAGES,
	  "reports on what is stored", command_quality },
	{ "data_quality_check", "[--json]",
	  "quarantine, failures and records of today; exit code 1 where there were failures",
	  command_data_quality_check },
	{ "health_check", "[--disk-free-min PERCENT] [--json]",
	  "workers, disk, database, errors of the last hour, memory; exit code 1 where something is wrong",
	  command_health_check },
	{ "ready", "[URL]",
	  "is the worker of this machine ready that listens on http.port? or what another URL answers; exit code 1 where it is not",
	  command_ready },
	{ "token create", "NAME --role viewer|operator|admin [--days N]", "make a token; it is printed once",
	  command_token_create },
	{ "token ls", PAGES_ALONE, "tokens and their roles", command_token_ls },
	{ "token revoke", "NAME", "make a token worthless", command_token_revoke },
	{ "audit", "[--who NAME] [--action A] [--since TIME]" PAGES, "who changed what", command_audit },
	{ "cat", "TOPIC [-n N] [--partition P] [--follow]", "records of a topic as JSON lines", command_cat },
	{ "events", "[--follow] [-n N] [--run ID] [--type running|done|failed|abandoned] [--json]",
	  "what fetchers said of their attempts: the last N (20), then what comes", command_events },
	{ "decode", "FILE... [--metadata]", "a vendor's file as JSON lines", decode },
	{ "subscription check", "NAME [--json]", "what a vendor would bring and cost; exit code 1 above cost_max_usd",
	  command_subscription_check },
	{ "config test-api", "SOURCE [--verbose] [--json]", "is a vendor's API there, and does it take our key?",
	  command_config_test_api },
	{ "rules check", "FILE [--json]", "the rules of a file, or the first that is wrong with it",
	  command_rules_check },
	{ "rules test", "FILE [--data FILE] [--json]", "run a rule file over its examples (tests/FILE)",
	  command_rules_test },
	{ "rules diff", "FILE [OLD] [--json]",
	  "what FILE changes in another rule file, or in what is installed here; exit code 1 where it does",
	  command_rules_diff },
	{ "rules try", "FILE --schema NAME [--since TIME] [--sample N] [--json]",
	  "which records of the raw topic's past FILE would judge otherwise than what is installed here; since 7d, or a time; exit code 1 where there are some",
	  command_rules_try },
	{ "validate", "--schema NAME [--sample-size N] [--rules FILE] [--json]",
	  "a schema's rules over stored rows, chosen at random; exit code 1 where some fail", command_validate },
	{ "schema ls", "[--json]", "the schemas of this build: subjects, versions, ids", command_schema_ls },
	{ "schema show", "SUBJECT [--version N] [--json]", "one schema (default: the latest)", command_schema_show },
	{ "schema diff", "SUBJECT VERSION VERSION [--json]", "what two versions differ in; exit code 1 where they do",
	  command_schema_diff },
	{ "topics apply", "[--dry-run]", "create missing topics, write first offsets", command_topics_apply },
	{ "topics check", "", "compare the topic table with the broker", command_topics_check },
	{ "lag", "[--json]", "how many records wait for whom, at most, and since when; exit code 1 as of offsets ls",
	  command_lag },
	{ "offsets ls", "[--json]",
	  "where every group stands, marks of transactions counted too; exit code 1 where one cannot go on",
	  command_offsets_ls },
	{ "offsets skip", "GROUP TOPIC PARTITION --why TEXT [--to OFFSET] [--dry-run]",
	  "go on behind records that are gone (--to: or earliest, latest)", command_offsets_skip },
	{ "db migrate", "[--dry-run]", "bring the database's tables up to date", command_db_migrate },
	{ "help", "[COMMAND...]", "this list, or all that is to be said of some commands", command_help },
	{ "man", "[PAGE]", "a manual page as roff: penstock man | man -l -", command_man },
	{ "completion", "bash|zsh", "for the shell: source <(penstock completion bash)", command_completion },
	{ 0 },
};
