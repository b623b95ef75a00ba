/* Rule files, over records of nothing and of everything. First byte: the type of the records. */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "common/data_types.h"
#include "common/mem.h"
#include "stages/validator/rules.h"

#define TEXT_MAX (4 * 1024 * 1024)

static void set_number(char *at, const struct record_field *field, int64_t value)
{
	if (field->type == FIELD_BOOL)
		*(bool *)at = value & 1;
	else if (field->type == FIELD_INT)
		*(int32_t *)at = (int32_t)value;
	else if (field->type == FIELD_STRING)
		*(struct str *)at = value & 1 ? STR_LIT("GLBX.MDP3") : STR_LIT("\xFF\0'");
	else
		*(int64_t *)at = value;
}

/* Every field there, with numbers at the ends of what they can be. */
static void fill(const struct record_type *type, void *record)
{
	static const int64_t values[] = { INT64_MAX, INT64_MIN, 0, 1, -1, INT64_C(1704196800000000000),
					  INT32_MAX, INT32_MIN };

	for (unsigned i = 0; i < type->field_count; i++) {
		const struct record_field *field = &type->fields[i];

		if (field->nullable)
			record_set_present(record, field->bit, true);
		set_number((char *)record + field->offset, field, values[i % 8]);
	}
}

/* now_ns at both ends, too. */
static void check(const struct ruleset *ruleset, const void *record, int64_t now_ns)
{
	static struct buf text = BUF_INIT(TEXT_MAX);
	struct verdict verdict = ruleset_check(ruleset, record, now_ns);
	uint64_t all = ruleset_count(ruleset) < RULES_MAX ? (UINT64_C(1) << ruleset_count(ruleset)) - 1 : UINT64_MAX;

	FUZZ_CHECK((verdict.rejected & verdict.flagged) == 0 && ((verdict.rejected | verdict.flagged) & ~all) == 0);
	buf_reset(&text);
	ruleset_names(ruleset, verdict.rejected | verdict.flagged, &text);
	ruleset_explain(ruleset, record, all, &text);
	FUZZ_CHECK(!text.overflow && str_is_text(buf_str(&text)));
}

static void check_all(const struct ruleset *ruleset, const struct record_type *type)
{
	CLEANUP(freep) void *record = mem_zalloc(1, type->size);

	check(ruleset, record, 0);
	fill(type, record);
	check(ruleset, record, INT64_MAX);
	check(ruleset, record, INT64_MIN);
	for (unsigned i = 0; i < ruleset_count(ruleset); i++)
		FUZZ_CHECK(ruleset_rule(ruleset, i).name[0] && ruleset_rule(ruleset, i).violated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	const struct record_type *type = data_types[fuzz_take(&bytes) % DATA_TYPES].raw;
	const struct str text = { (const char *)bytes.data, (uint32_t)bytes.len };
	CLEANUP(ruleset_freep) struct ruleset *ruleset = NULL;
	struct err err = ERR_INIT;

	if (ruleset_compile(&ruleset, "fuzz.yaml", text, type, &err))
		FUZZ_CHECK(err.kind != ERR_OK && err.text[0]);
	else
		check_all(ruleset, type);
	return 0;
}
