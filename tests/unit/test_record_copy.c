#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/data_types.h"
#include "common/record_copy.h"
#include "schemas.h"

/* Every byte of a raw record is its own, so that a field that is copied from elsewhere, or over another, is seen. */
static void fill(const struct record_type *type, unsigned char *record)
{
	for (uint32_t i = 0; i < type->size; i++)
		record[i] = (unsigned char)(i * 7 + 3);
}

static size_t size_of(const struct record_field *field)
{
	if (field->type == FIELD_STRING)
		return sizeof(struct str);
	return field->type == FIELD_INT ? sizeof(int32_t) : field->type == FIELD_BOOL ? sizeof(bool) : sizeof(int64_t);
}

static void check_type(const struct data_type *type, uint64_t present)
{
	unsigned char from[2048], to[2048];
	struct record_copy *copy = record_copy_new(type->raw, type->clean);

	assert_true(type->raw->size <= sizeof(from) && type->clean->size <= sizeof(to));
	fill(type->raw, from);
	memcpy(from, &present, sizeof(present));
	memset(to, 0xEE, sizeof(to));
	record_copy_run(copy, from, to);
	for (unsigned i = 0; i < type->clean->field_count; i++) {
		const struct record_field *t = &type->clean->fields[i];
		const struct record_field *f = record_field_find(type->raw, str_of(t->name));

		if (f) {
			assert_memory_equal(to + t->offset, from + f->offset, size_of(t));
			assert_true(!t->nullable || record_has(to, t) == record_has(from, f));
		} else {
			for (size_t k = 0; k < size_of(t); k++)
				assert_int_equal(to[t->offset + k], 0xEE);
			assert_true(!t->nullable || !record_has(to, t));
		}
	}
	record_copy_freep(&copy);
	assert_null(copy);
}

static void test_namesakes_are_copied_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		check_type(&data_types[id], 0);
		check_type(&data_types[id], UINT64_MAX);
		check_type(&data_types[id], UINT64_C(0x5555555555555555));
	}
}

static void test_types_are_found_by_their_record(void **state)
{
	(void)state;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		assert_int_equal(data_type_of(data_types[id].raw), id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namesakes_are_copied_and_nothing_else),
		cmocka_unit_test(test_types_are_found_by_their_record),
	};

	return cmocka_run_group_tests_name("record_copy", tests, NULL, NULL);
}
