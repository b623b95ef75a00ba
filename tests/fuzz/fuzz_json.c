/* The vendor's JSON lines. First byte: the task's schema. */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "stages/fetcher/formats/format.h"

static const char *const schemas[] = { "", "ohlcv-1m", "trades", "tbbo", "statistics", "definition" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_items items;
	struct fuzz_bytes bytes = { data, size };
	const struct fetch_task task = { .dataset = (char *)"TEST.DATA",
					 .schema = (char *)FUZZ_CHOOSE(&bytes, schemas) };
	CLEANUP(format_freep) struct format *format = NULL;

	items = (struct fuzz_items){ 0 };
	if (format_databento_json_ops.open(&format, fuzz_file(bytes), &task, &items.err) == 0)
		fuzz_read_items(format, &items);
	else
		FUZZ_CHECK(items.err.kind == ERR_RECORD && items.err.text[0]);
	return 0;
}
