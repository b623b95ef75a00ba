#include "stages/loader/key_arrays.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define ARRAY_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct key_arrays {
	const struct table *table;
	unsigned columns;
	struct buf fields[TABLE_KEYS_MAX];
	uint32_t count;
};

struct key_arrays *key_arrays_new(const struct table *table)
{
	struct key_arrays *arrays = mem_zalloc(1, sizeof(*arrays));
	struct table_key key;

	arrays->table = table;
	while (table_key_column(table, arrays->columns, &key))
		arrays->fields[arrays->columns++] = (struct buf)BUF_INIT(ARRAY_BYTES_MAX);
	key_arrays_reset(arrays);
	return arrays;
}

void key_arrays_freep(struct key_arrays **pointer)
{
	struct key_arrays *arrays = *pointer;

	if (!arrays)
		return;
	for (unsigned i = 0; i < arrays->columns; i++)
		buf_release(&arrays->fields[i]);
	free(arrays);
	*pointer = NULL;
}

void key_array_begin(struct buf *array, uint32_t type_oid, uint32_t count)
{
	const uint32_t head[] = { htobe32(1), 0, htobe32(type_oid), htobe32(count), htobe32(1) };

	buf_reset(array);
	buf_put(array, head, sizeof(head));
}

static void end_array(struct buf *array, uint32_t count)
{
	count = htobe32(count);
	memcpy(array->data + 3 * sizeof(count), &count, sizeof(count));
}

void key_arrays_reset(struct key_arrays *arrays)
{
	struct table_key key;

	arrays->count = 0;
	for (unsigned i = 0; table_key_column(arrays->table, i, &key); i++)
		key_array_begin(&arrays->fields[i], key.type_oid, 0 /* end_array() */);
}

void key_arrays_add(struct key_arrays *arrays, struct str row)
{
	table_put_key(arrays->table, row, arrays->fields);
	arrays->count++;
}

uint32_t key_arrays_count(const struct key_arrays *arrays)
{
	return arrays->count;
}

int key_arrays_params(struct key_arrays *arrays, struct pg_value *params, unsigned *ret_count, struct err *err)
{
	for (unsigned i = 0; i < arrays->columns; i++) {
		if (arrays->fields[i].overflow)
			return err_set(err, ERR_FATAL, "keys of more than %zu bytes", ARRAY_BYTES_MAX);
		end_array(&arrays->fields[i], arrays->count);
		params[i] = (struct pg_value){ buf_str(&arrays->fields[i]), true };
	}
	*ret_count = arrays->columns;
	return 0;
}

void key_arrays_put_from(const struct table *table, unsigned first_param, const char *more, const char *more_column,
			 struct buf *sql)
{
	struct table_key key;

	buf_put_text(sql, "unnest(");
	for (unsigned i = 0; table_key_column(table, i, &key); i++)
		buf_printf(sql, "%s$%u::%s[]", i ? ", " : "", i + first_param, key.type);
	buf_printf(sql, "%s%s) WITH ORDINALITY AS k (", more ? ", " : "", more ? more : "");
	for (unsigned i = 0; table_key_column(table, i, &key); i++)
		buf_printf(sql, "\"%s\", ", key.name);
	buf_printf(sql, "%s%splace)", more ? more_column : "", more ? ", " : "");
}
