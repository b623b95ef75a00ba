#include "common/record_copy.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"

#define FIELDS_MAX 128
#define NEVER_NULL FIELD_NOT_NULLABLE

/* Fields that stand side by side in both structs are one run. */
struct run {
	uint16_t from, to, size;
};

/* Of a field that may be null in `to`. */
struct presence {
	uint8_t from, to; /* bits; from may be NEVER_NULL */
};

struct record_copy {
	struct run runs[FIELDS_MAX];
	struct presence presences[FIELDS_MAX];
	unsigned run_count, presence_count;
};

static uint16_t size_of(const struct record_field *field)
{
	switch (field->type) {
	case FIELD_BOOL:
		return sizeof(bool);
	case FIELD_INT:
		return sizeof(int32_t);
	case FIELD_STRING:
		return sizeof(struct str);
	default:
		return sizeof(int64_t);
	}
}

/* adjacent: it follows the field before in both structs, so what is between them is padding. */
static void add_run(struct record_copy *copy, bool adjacent, uint16_t from, uint16_t to, uint16_t size)
{
	struct run *last = copy->run_count ? &copy->runs[copy->run_count - 1] : NULL;

	if (adjacent && last && from - last->from == to - last->to)
		last->size = (uint16_t)(from - last->from + size);
	else
		copy->runs[copy->run_count++] = (struct run){ from, to, size };
}

struct record_copy *record_copy_new(const struct record_type *from, const struct record_type *to)
{
	struct record_copy *copy = mem_zalloc(1, sizeof(*copy));
	const struct record_field *before = NULL; /* in `from`, of the field before in `to` */

	for (unsigned i = 0; i < to->field_count; i++) {
		const struct record_field *t = &to->fields[i], *f = record_field_find(from, str_of(t->name));

		if (f && (f->type != t->type || f->logical != t->logical))
			abort();
		if (f)
			add_run(copy, before && f == before + 1, f->offset, t->offset, size_of(f));
		if (f && t->nullable)
			copy->presences[copy->presence_count++] =
				(struct presence){ f->nullable ? f->bit : NEVER_NULL, t->bit };
		before = f;
	}
	return copy;
}

void record_copy_freep(struct record_copy **copy)
{
	free(*copy);
	*copy = NULL;
}

void record_copy_run(const struct record_copy *copy, const void *from, void *to)
{
	for (unsigned i = 0; i < copy->run_count; i++) {
		const struct run *run = &copy->runs[i];

		memcpy((char *)to + run->to, (const char *)from + run->from, run->size);
	}
	*(uint64_t *)to = 0;
	for (unsigned i = 0; i < copy->presence_count; i++) {
		const struct presence *p = &copy->presences[i];

		record_set_present(to, p->to, p->from == NEVER_NULL || (*(const uint64_t *)from >> p->from & 1));
	}
}
