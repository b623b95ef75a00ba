/* Messages of our topics. First byte: what they are taken for. */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "common/control.h"
#include "common/data_types.h"
#include "common/mem.h"

#define MESSAGE_MAX (4 * 1024 * 1024)
#define CHOICES (2 * DATA_TYPES + 2)

static void check_data(const struct record_type *type, struct str message)
{
	CLEANUP(freep) void *record = mem_zalloc(1, type->size);
	struct err err = ERR_INIT;
	struct lineage lineage;

	if (record_decode(type, record, message, &err)) {
		FUZZ_CHECK(err.kind == ERR_RECORD && err.text[0]);
		return;
	}
	fuzz_check_record(type, record);
	if (record_lineage(message, &lineage))
		FUZZ_CHECK(lineage.attempt >= ATTEMPT_MIN);
}

/* A version that somebody newer wrote is to be tried again. */
static bool is_fair(const char *name, struct str message, const struct err *err)
{
	return err->text[0] && (err->kind == ERR_RECORD || (err->kind == ERR_RETRY && !control_is(name, message)));
}

/* What is decoded and encoded again decodes, and is then the same bytes for ever. */
#define CHECK_CONTROL(name, initial, message) \
	do { \
		CLEANUP(name##_release) struct name first = initial, second = initial; \
		CLEANUP(buf_release) struct buf once = BUF_INIT(MESSAGE_MAX), twice = BUF_INIT(MESSAGE_MAX); \
		struct err err = ERR_INIT; \
\
		if (name##_decode(message, &first, &err)) { \
			FUZZ_CHECK(is_fair(#name, message, &err)); \
			break; \
		} \
		FUZZ_CHECK(name##_encode(&first, &once, &err) == 0); \
		FUZZ_CHECK(name##_decode(buf_str(&once), &second, &err) == 0); \
		FUZZ_CHECK(name##_encode(&second, &twice, &err) == 0); \
		FUZZ_CHECK(str_eq(buf_str(&once), buf_str(&twice))); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	unsigned choice = fuzz_take(&bytes) % CHOICES;
	struct str message = { (const char *)bytes.data, (uint32_t)bytes.len };

	if (choice < DATA_TYPES)
		check_data(data_types[choice].raw, message);
	else if (choice < 2 * DATA_TYPES)
		check_data(data_types[choice - DATA_TYPES].clean, message);
	else if (choice == 2 * DATA_TYPES)
		CHECK_CONTROL(fetch_task, FETCH_TASK_INIT, message);
	else
		CHECK_CONTROL(task_event, TASK_EVENT_INIT, message);
	return 0;
}
