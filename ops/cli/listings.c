/* The commands that show what the API has: one line each. */
#include <stdio.h>
#include <string.h>

#include "ops/cli/cli.h"
#include "ops/cli/listing.h"

#define LISTING(name_, ...) \
	int command_##name_(int argc, char **argv) \
	{ \
		static const struct listing listing = { __VA_ARGS__ }; \
\
		return listing_run(&listing, argc, argv); \
	}

#define COUNTS "fetched inserted updated unchanged duplicate superseded dead_letters in_flight balanced"

int command_ledger(int argc, char **argv)
{
	static const struct {
		const char *by;
		struct listing listing;
	} kinds[] = {
		{ "attempt",
		  { .command = "ledger",
		    .path = "/api/v1/ledger/attempts",
		    .list = "attempts",
		    .words = { "run" },
		    .columns = "attempt run subscription state " COUNTS,
		    .nothing = "no attempt" } },
		{ "subscription",
		  { .command = "ledger",
		    .path = "/api/v1/ledger/subscriptions",
		    .list = "subscriptions",
		    .words = { "run" },
		    .columns = "subscription attempts " COUNTS,
		    .nothing = "no attempt" } },
		{ "outcome",
		  { .command = "ledger",
		    .path = "/api/v1/ledger/outcomes",
		    .list = "outcomes",
		    .words = { "run" },
		    .nothing = "no record is accounted for yet" } },
	};
	const char *by = cli_option(&argc, argv, "--by");

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(by ? by : "attempt", kinds[i].by) == 0)
			return listing_run(&kinds[i].listing, argc, argv);
	fprintf(stderr, "penstock ledger: --by takes attempt, subscription or outcome, not '%s'\n", by);
	return EXIT_USAGE;
}

LISTING(runs, .command = "runs", .path = "/api/v1/runs", .list = "runs",
	.columns = "run kind status balanced fetched inserted dead_letters created_at held message",
	.nothing = "no run: `penstock run full` starts one")
LISTING(coverage, .command = "coverage", .path = "/api/v1/coverage", .list = "coverage", .words = { "subscription" },
	.columns = "subscription symbol from to days state records reason vendor_condition",
	.nothing = "nothing is known: this is of vendors' interfaces; what files brought, `penstock ledger` shows")
LISTING(why, .command = "why", .path = "/api/v1/why", .list = "rows", .words = { "symbol", "time" }, .words_needed = 2,
	.blocks = true, .nothing = "no table has a row of this symbol at this time, and none was withdrawn")
LISTING(backfills, .command = "backfills", .path = "/api/v1/backfills", .list = "backfills",
	.columns = "hash state subscription from to reprocess windows calls records cost_usd run created_at",
	.nothing = "nothing was planned: `penstock backfill` does")
LISTING(bars, .command = "bars", .path = "/api/v1/historical/{symbol}", .list = "data",
	.words = { "symbol", "start", "end" }, .words_needed = 3,
	.columns = "time open high low close volume dataset publisher_id as_of", .nothing = "no bars")
LISTING(restatements, .command = "restatements", .path = "/api/v1/restatements", .list = "restatements",
	.columns = "id kind restated_at table_name symbol time interval changes old_as_of new_as_of run",
	.nothing = "nothing was ever corrected")
LISTING(withdrawals, .command = "withdrawals", .path = "/api/v1/withdrawals", .list = "withdrawals",
	.columns = "at run subscription table_name from until delivered stored withdrawn why",
	.nothing = "of no window did the vendor have fewer rows than are here")
LISTING(breaker_ls, .command = "breaker ls", .path = "/api/v1/breakers", .list = "breakers",
	.columns = "kind name state since probe_at probe_task openings tasks_waiting reason",
	.nothing = "nothing was ever held back")
LISTING(alarms, .command = "alarms", .path = "/api/v1/alarms", .list = "alarms",
	.columns = "since name attempt message", .nothing = "nothing is wrong")
LISTING(symbols, .command = "symbols", .path = "/api/v1/symbols", .list = "symbols",
	.nothing = "none yet: these are of vendors' interfaces; those of files are in the table symbol_mappings")
LISTING(audit, .command = "audit", .path = "/api/v1/audit", .list = "audit", .nothing = "nobody changed anything")
LISTING(dlq_ls, .command = "dlq ls", .path = "/api/v1/dead-letters", .list = "dead_letters",
	.columns = "id state failed_at class schema symbol day rules message", .nothing = "no dead letters")
LISTING(dlq_show, .command = "dlq show", .path = "/api/v1/dead-letters/{id}", .words = { "id" }, .words_needed = 1)
LISTING(dlq_summary, .command = "dlq summary", .path = "/api/v1/dead-letters/summary", .list = "summary",
	.nothing = "no dead letters")
LISTING(dlq_reviews, .command = "dlq reviews", .path = "/api/v1/dead-letters/reviews", .list = "reviews",
	.nothing = "nobody has reviewed them")
LISTING(token_ls, .command = "token ls", .path = "/api/v1/tokens", .list = "tokens",
	.nothing = "only that of the configuration")

int command_quality(int argc, char **argv)
{
	static const struct {
		const char *name;
		struct listing listing;
	} reports[] = {
		{ "tables", { .path = "/api/v1/quality/tables", .list = "tables", .nothing = "no table" } },
		{ "stored", { .path = "/api/v1/quality/stored", .list = "stored", .nothing = "nothing was stored" } },
		{ "bars",
		  { .path = "/api/v1/quality/bars", .list = "violations", .nothing = "no bar contradicts itself" } },
		{ "trades", { .path = "/api/v1/quality/trades", .list = "symbols", .nothing = "no trade is invalid" } },
		{ "instruments",
		  { .path = "/api/v1/quality/instruments",
		    .list = "symbols",
		    .nothing = "no symbol has two instrument ids on one day" } },
		{ "missing-days",
		  { .path = "/api/v1/quality/missing-days", .list = "missing", .nothing = "no session is missing" } },
	};

	for (unsigned i = 0; argc > 0 && i < sizeof(reports) / sizeof(*reports); i++)
		if (strcmp(argv[0], reports[i].name) == 0) {
			struct listing listing = reports[i].listing;

			listing.command = "quality";
			return listing_run(&listing, argc - 1, argv + 1);
		}
	fprintf(stderr, "penstock quality: it takes tables, stored, bars, trades, instruments or missing-days\n");
	return EXIT_USAGE;
}
