/* subscription check: what a subscription to a vendor would bring and cost; nothing is fetched. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "ops/cli/cli.h"
#include "ops/cli/vendor.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/subscriptions.h"

#define COMMAND "subscription check"
#define DATE_CHARS 10 /* of an ISO time */
#define NAMES_SHOWN 20

struct inquiry {
	struct vendor vendor;
	struct subscriptions list;
	const struct subscription *subscription;
	struct fetch_task task;
	char *result;
	json_t *quote;
};

static void inquiry_release(struct inquiry *inquiry)
{
	json_decref(inquiry->quote);
	free(inquiry->result);
	subscriptions_release(&inquiry->list);
	vendor_release(&inquiry->vendor);
}

static void config_close(struct config **cfg)
{
	config_freep(cfg);
}

/* --- asking ------------------------------------------------------------------------------------------------------------ */

static int read_subscription(struct inquiry *inquiry, const char *config, const char *name, struct err *err)
{
	static const struct config_key *const shared[] = { config_common_keys, config_database_keys, NULL };
	static const struct config_spec spec = {
		.binary = "orchestrator", .summary = "", .keys = orchestrator_keys, .shared = shared
	};
	CLEANUP(config_close) struct config *cfg = NULL;

	if (config_open(&cfg, &spec, config, err) ||
	    subscriptions_read(&inquiry->list, config_text(cfg, "subscriptions"), err))
		return -1;
	inquiry->subscription = subscriptions_find(&inquiry->list, name);
	if (!inquiry->subscription)
		return err_set(err, ERR_RECORD, "%s: no subscription %s", inquiry->list.file, name);
	if (strcmp(inquiry->subscription->source, "databento") != 0)
		return err_set(err, ERR_RECORD, "subscription %s: source %s has no vendor to ask", name,
			       inquiry->subscription->source);
	return 0;
}

/* The whole of it as one window, whose parts belong to the subscription. */
static void make_task(struct inquiry *inquiry)
{
	const struct subscription *s = inquiry->subscription;
	static char source[] = "databento", quote[] = "{\"action\":\"quote\"}";

	inquiry->task = (struct fetch_task){
		.subscription = s->name,
		.source = source,
		.dataset = s->dataset,
		.schema = s->schema,
		.symbols = s->vendor.symbols,
		.symbol_count = s->vendor.symbol_count,
		.stype_in = (char *)s->vendor.stype_in,
		.parameters = quote,
		.has_start = true,
		.has_end = true,
		.start = s->vendor.start,
		.end = s->vendor.has_end ? s->vendor.end : clock_now_ns(),
	};
}

static int ask(struct inquiry *inquiry, struct err *err)
{
	CLEANUP(source_freep) struct source *source = NULL;
	struct source_item item = { .kind = SOURCE_LATER };

	if (!inquiry->vendor.account.key[0])
		return err_set(err, ERR_FATAL,
			       "there is no key: set DATABENTO_API_KEY, or databento.key in the"
			       " fetcher's section");
	if (source_open(&source, &inquiry->vendor.env, &inquiry->task, "", err))
		return -1;
	while (item.kind != SOURCE_END) {
		if (source_next(source, &item, err))
			return -1;
		if (item.kind == SOURCE_LATER)
			vendor_wait(&inquiry->vendor, item.ready_ns);
	}
	inquiry->result = mem_strdup(source_result(source));
	inquiry->quote = json_loads(inquiry->result, 0, NULL);
	return inquiry->quote ? 0 : err_set(err, ERR_FATAL, "the quote is not JSON");
}

/* --- telling ------------------------------------------------------------------------------------------------------------- */

static int64_t cost_of(const struct inquiry *inquiry)
{
	struct err ignored = ERR_INIT;
	int64_t cost = 0;

	decimal_parse(str_of(json_string_value(json_object_get(inquiry->quote, "cost_usd"))), &cost, &ignored);
	return cost;
}

static void print_names(const char *what, const json_t *names)
{
	size_t i, count = json_array_size(names);
	json_t *name;

	if (count == 0)
		return;
	printf("  %-10s ", what);
	json_array_foreach(names, i, name)
	{
		if (i == NAMES_SHOWN) {
			printf(", and %zu more", count - i);
			break;
		}
		printf("%s%s", i > 0 ? ", " : "", json_string_value(name));
	}
	putchar('\n');
}

static void print_window(const struct inquiry *inquiry)
{
	const json_t *quote = inquiry->quote;
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];

	clock_format(inquiry->task.start, 0, from);
	clock_format(inquiry->task.end, 0, to);
	printf("  %-10s %s to %s\n", "window", from, to);
	printf("  %-10s %s to %s\n", "available", json_string_value(json_object_get(quote, "available_start")),
	       json_string_value(json_object_get(quote, "available_end")));
}

/* How many days are in which condition. */
static void print_days(const json_t *days)
{
	static const char *const conditions[] = { "available", "degraded", "pending", "missing", NULL };
	const char *separator = "";
	json_t *day;
	size_t i;

	printf("  %-10s ", "days");
	for (const char *const *condition = conditions; *condition; condition++) {
		unsigned count = 0;

		json_array_foreach(days, i, day)
		{
			const char *text = json_string_value(json_object_get(day, "condition"));

			count += text && strcmp(text, *condition) == 0;
		}
		if (count > 0) {
			printf("%s%u %s", separator, count, *condition);
			separator = ", ";
		}
	}
	printf("%s\n", *separator ? "" : "none");
}

static void print_quote(const struct inquiry *inquiry)
{
	const struct subscription *s = inquiry->subscription;
	const json_t *quote = inquiry->quote, *symbols = json_object_get(quote, "symbols");
	char cap[DECIMAL_TEXT_MAX];

	decimal_format(s->vendor.cost_max, cap);
	printf("%s: %s %s, %u %s symbol%s\n", s->name, s->dataset, s->schema, s->vendor.symbol_count,
	       s->vendor.stype_in, s->vendor.symbol_count == 1 ? "" : "s");
	print_window(inquiry);
	print_days(json_object_get(quote, "conditions"));
	print_names("not found", json_object_get(symbols, "not_found"));
	print_names("partly", json_object_get(symbols, "partial"));
	printf("  %-10s %" JSON_INTEGER_FORMAT " (%.1f MB)\n", "records",
	       json_integer_value(json_object_get(quote, "records")),
	       (double)json_integer_value(json_object_get(quote, "bytes")) / 1e6);
	printf("  %-10s %s USD, %s cost_max_usd %s\n", "cost", json_string_value(json_object_get(quote, "cost_usd")),
	       cost_of(inquiry) > s->vendor.cost_max ? "MORE THAN" : "within", cap);
}

int command_subscription_check(int argc, char **argv)
{
	CLEANUP(inquiry_release) struct inquiry inquiry = { .vendor = VENDOR_INIT, .list = SUBSCRIPTIONS_INIT };
	const char *config = cli_option(&argc, argv, "--config");
	bool json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;

	if (cli_leftover(COMMAND, argc, argv, 1))
		return EXIT_USAGE;
	if (argc != 1)
		return fprintf(stderr, "penstock " COMMAND ": which subscription?\n"), EXIT_USAGE;
	if (vendor_open(&inquiry.vendor, config, &argc, argv, &err))
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	if (read_subscription(&inquiry, config, argv[0], &err))
		return cli_fail(COMMAND, &err);
	make_task(&inquiry);
	if (ask(&inquiry, &err))
		return cli_fail(COMMAND, &err);
	if (json)
		puts(inquiry.result);
	else
		print_quote(&inquiry);
	return cost_of(&inquiry) <= inquiry.subscription->vendor.cost_max ? EXIT_OK : EXIT_FAILED;
}
