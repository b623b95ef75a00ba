/* The vendor's CSV, and plain CSV by some plans. First bytes: which of them, and the task's schema. */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "stages/fetcher/formats/csv_plan.h"
#include "stages/fetcher/formats/format.h"

#define PLAN(settings) "{\"format\": \"csv\", \"csv\": {\"time\": " settings "}}"
#define SYMBOL ", \"symbol\": \"symbol\""

static const char *const plans[] = {
	"", /* the vendor's */
	PLAN("\"t\"" SYMBOL),
	PLAN("\"time\"" SYMBOL
	     ", \"price_text\": \"float64\", \"delimiter\": \"tab\", \"time_zone\": \"America/Chicago\""),
	PLAN("\"1\", \"open\": \"2\", \"high\": \"3\", \"low\": \"4\", \"close\": \"5\", \"volume\": \"6\", \"header\": "
	     "\"false\", \"symbol_constant\": \"EURUSD\", \"time_format\": \"%Y%m%d %H%M%S%f\", \"price_text\": "
	     "\"float32\", \"delimiter\": \";\""),
	PLAN("\"time\"" SYMBOL ", \"volume\": \"none\", \"time_format\": \"ms\""),
	PLAN("\"time\"" SYMBOL
	     ", \"time_format\": \"%d %b %y %I:%M %p %z\", \"time_zone\": \"Europe/London\", \"time_twice\": "
	     "\"second\""),
};

static const char *const schemas[] = { "ohlcv-1m", "trades", "tbbo", "statistics", "definition", "" };

/* A plan that is none would test nothing. */
static void check_plans(void)
{
	static bool done;

	for (unsigned i = 1; !done && i < sizeof(plans) / sizeof(plans[0]); i++) {
		CLEANUP(csv_plan_release) struct csv_plan plan = CSV_PLAN_INIT;
		const struct fetch_task task = { .parameters = (char *)plans[i] };
		struct err err = ERR_INIT;
		bool wanted;

		FUZZ_CHECK(csv_plan_wanted(&task, &wanted, &err) == 0 && wanted);
		FUZZ_CHECK(csv_plan_open(&plan, &task, &err) == 0);
	}
	done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_items items;
	struct fuzz_bytes bytes = { data, size };
	const char *plan = FUZZ_CHOOSE(&bytes, plans);
	const char *schema = plan[0] ? "ohlcv-1m" : FUZZ_CHOOSE(&bytes, schemas);
	const struct fetch_task task = { .dataset = (char *)"TEST.DATA",
					 .schema = (char *)schema,
					 .parameters = (char *)plan };
	const struct format_ops *ops = plan[0] ? &format_csv_bars_ops : &format_databento_csv_ops;
	CLEANUP(format_freep) struct format *format = NULL;

	check_plans();
	items = (struct fuzz_items){ 0 };
	if (ops->open(&format, fuzz_file(bytes), &task, &items.err) == 0)
		fuzz_read_items(format, &items);
	else
		FUZZ_CHECK(items.err.kind == ERR_RECORD && items.err.text[0]);
	return 0;
}
