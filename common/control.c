#include "common/control.h"

#include <avro.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/embed.h"
#include "common/frame_ids.h"
#include "common/mem.h"
#include "common/record.h"
#include "common/schema_lock.h"

#define STRING_MAX 8192       /* bytes of one string: a path, a message; of others: string_max() */
#define SYMBOLS_MAX 10000     /* of one task */
#define MESSAGE_MAX (1 << 20) /* bytes; the topics' own limit */

/* Versions that lack the newest one's last field, a string: what an id means never changes. */
static const struct {
	const char *name;
	uint32_t id;
} older[] = {
	{ "fetch_task", 1 }, /* without `parameters` */
	{ "task_event", 4 }, /* without `result` */
};

static const char *const state_names[] = {
	[ATTEMPT_RUNNING] = "running",
	[ATTEMPT_DONE] = "done",
	[ATTEMPT_FAILED] = "failed",
	[ATTEMPT_ABANDONED] = "abandoned",
};

const char *attempt_state_name(enum attempt_state state)
{
	return state_names[state];
}

/* --- schemas and their ids -------------------------------------------------------------------------------------------- */

/*
 * Both sides of a pipeline are parsed from one embedded text, each time it is
 * needed: Debian's avro-c is not built for sharing a schema between threads.
 */
static avro_schema_t schema_open(const char *name)
{
	CLEANUP(freep) char *path = mem_printf("schemas/avro/%s.avsc", name);
	struct str json = embed_find(path);
	avro_schema_t schema;

	if (avro_schema_from_json_length(json.data, json.len, &schema)) {
		fprintf(stderr, "%s: %s\n", path, avro_strerror());
		abort(); /* the build compiled in a schema that is none */
	}
	return schema;
}

static void schema_closep(avro_schema_t *schema)
{
	if (*schema)
		avro_schema_decref(*schema);
}

static void value_closep(avro_value_t *value)
{
	if (value->iface)
		avro_value_decref(value);
}

static avro_value_t value_open(avro_schema_t schema)
{
	avro_value_iface_t *class = avro_generic_class_from_schema(schema);
	avro_value_t value = { 0 };

	if (!class || avro_generic_value_new(class, &value)) {
		fprintf(stderr, "avro: %s\n", avro_strerror());
		abort(); /* out of memory, as in mem.h */
	}
	avro_value_iface_decref(class);
	return value;
}

uint32_t control_schema_id(const char *name)
{
	char file[64];
	uint32_t id;

	snprintf(file, sizeof(file), "%s.avsc", name);
	id = schema_lock_newest(file);
	if (id == 0) {
		fprintf(stderr, SCHEMA_LOCK ": no line for %s\n", file);
		abort(); /* a build without its lock */
	}
	return id;
}

/* --- checking before avro-c reads ------------------------------------------------------------------------------------- */

/*
 * avro-c 1.11 believes lengths: a negative one makes it write in front of its
 * memory, a large one is allocated before the end of input is noticed. So the
 * bytes are walked along the schema first.
 */
static int64_t take_long(struct bytes *b)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = bytes_u8(b);

		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
	}
	b->failed = true;
	return 0;
}

/* Two fields may hold more than a path or a message: what came of a task, and what its source is told, messages for one. */
static size_t string_max(const char *field)
{
	return strcmp(field, "result") == 0 || strcmp(field, "parameters") == 0 ? TASK_RESULT_MAX : STRING_MAX;
}

static void walk(avro_schema_t schema, const char *field, struct bytes *b, unsigned depth);

static void walk_string(const char *field, struct bytes *b)
{
	int64_t len = take_long(b);
	const uint8_t *data = NULL;

	if (len < 0 || len > (int64_t)string_max(field))
		b->failed = true;
	else
		data = bytes_take(b, (size_t)len);
	if (data && !str_is_text((struct str){ (const char *)data, (uint32_t)len }))
		b->failed = true;
}

static void walk_array(avro_schema_t items, const char *field, struct bytes *b, unsigned depth)
{
	int64_t total = 0;

	for (;;) {
		int64_t count = take_long(b);

		/* A negative count comes with its block's size in bytes; nothing that we read writes it. */
		if (count < 0 || count > SYMBOLS_MAX - total)
			b->failed = true;
		if (b->failed || count == 0)
			return;
		total += count;
		for (int64_t i = 0; i < count && !b->failed; i++)
			walk(items, field, b, depth + 1);
	}
}

static void walk_index(struct bytes *b, int64_t count, int64_t *ret_index)
{
	*ret_index = take_long(b);
	if (*ret_index < 0 || *ret_index >= count)
		b->failed = true;
}

static void walk_record(avro_schema_t schema, struct bytes *b, unsigned depth)
{
	for (size_t i = 0; i < avro_schema_record_size(schema); i++)
		walk(avro_schema_record_field_get_by_index(schema, (int)i),
		     avro_schema_record_field_name(schema, (int)i), b, depth + 1);
}

static void walk(avro_schema_t schema, const char *field, struct bytes *b, unsigned depth)
{
	int64_t index;

	if (depth > 8)
		b->failed = true;
	if (b->failed)
		return;
	switch (avro_typeof(schema)) {
	case AVRO_RECORD:
		walk_record(schema, b, depth);
		return;
	case AVRO_UNION:
		walk_index(b, (int64_t)avro_schema_union_size(schema), &index);
		if (!b->failed)
			walk(avro_schema_union_branch(schema, (int)index), field, b, depth + 1);
		return;
	case AVRO_ENUM:
		walk_index(b, avro_schema_enum_number_of_symbols(schema), &index);
		return;
	case AVRO_ARRAY:
		walk_array(avro_schema_array_items(schema), field, b, depth);
		return;
	case AVRO_STRING:
		walk_string(field, b);
		return;
	case AVRO_INT64:
		take_long(b);
		return;
	case AVRO_NULL:
		return;
	default:
		b->failed = true; /* no control schema has such a field: the unit test would have said so */
	}
}

static bool is_older(const char *name, uint32_t id)
{
	for (unsigned i = 0; i < sizeof(older) / sizeof(*older); i++)
		if (older[i].id == id && strcmp(older[i].name, name) == 0)
			return true;
	return false;
}

bool control_is(const char *name, struct str message)
{
	uint32_t id = record_schema_id(message);

	return id == control_schema_id(name) || is_older(name, id);
}

/* A message of the version before, with its last field: an empty string is one zero byte more. */
static struct str as_newest(const char *name, struct str message, struct buf *room)
{
	if (!is_older(name, record_schema_id(message)))
		return message;
	buf_put_u8(room, 0);
	buf_put_be32(room, frame_id_written(control_schema_id(name)));
	buf_put(room, message.data + CONFLUENT_PREFIX, message.len - CONFLUENT_PREFIX);
	buf_put_u8(room, 0);
	return buf_str(room);
}

/* --- messages ---------------------------------------------------------------------------------------------------------- */

static int read_message(const char *name, struct str message, avro_value_t *ret_value, struct err *err)
{
	CLEANUP(schema_closep) avro_schema_t schema = NULL;
	struct bytes b = bytes_of(message.data, message.len);
	avro_reader_t reader;
	uint8_t magic = bytes_u8(&b);
	uint32_t id = bytes_be32(&b), ours = control_schema_id(name);
	int failed;

	if (b.failed || magic != 0 || message.len > MESSAGE_MAX)
		return err_set(err, ERR_RECORD, "%s: no framed message (%u bytes)", name, message.len);
	if (frame_id_read(id) != ours)
		return err_set(err, ERR_RETRY, "%s: schema id %u is not known here (%u is)", name, id, ours);
	schema = schema_open(name);
	walk(schema, name, &b, 0);
	if (b.failed || bytes_left(&b) > 0)
		return err_set(err, ERR_RECORD, "%s: %s byte %zu of %u", name,
			       b.failed ? "cut short or malformed at" : "bytes left over after",
			       (size_t)(b.pos - (const uint8_t *)message.data), message.len);
	*ret_value = value_open(schema);
	reader = avro_reader_memory(message.data + CONFLUENT_PREFIX, (int64_t)message.len - CONFLUENT_PREFIX);
	failed = avro_value_read(reader, ret_value);
	avro_reader_free(reader);
	return failed ? err_set(err, ERR_RECORD, "%s: %s", name, avro_strerror()) : 0;
}

static int write_message(const char *name, avro_value_t *value, struct buf *out, struct err *err)
{
	avro_writer_t writer;
	uint8_t *room;
	size_t size;
	int failed;

	buf_put_u8(out, 0);
	buf_put_be32(out, frame_id_written(control_schema_id(name)));
	if (avro_value_sizeof(value, &size) || !(room = buf_room(out, size)))
		return err_set(err, ERR_RECORD, "%s: larger than its buffer", name);
	writer = avro_writer_memory((char *)room, (int64_t)size);
	failed = avro_value_write(writer, value);
	avro_writer_free(writer);
	if (failed)
		return err_set(err, ERR_RECORD, "%s: %s", name, avro_strerror());
	out->len += size;
	return out->overflow ? err_set(err, ERR_RECORD, "%s: larger than its buffer", name) : 0;
}

/* --- fields ------------------------------------------------------------------------------------------------------------ */

/* The field of that name; the schema has it, or the build is wrong. */
static avro_value_t field(avro_value_t *record, const char *name)
{
	avro_value_t value;

	if (avro_value_get_by_name(record, name, &value, NULL)) {
		fprintf(stderr, "avro: no field %s\n", name);
		abort();
	}
	return value;
}

static int64_t get_long(avro_value_t *record, const char *name)
{
	avro_value_t value = field(record, name);
	int64_t number = 0;

	avro_value_get_long(&value, &number);
	return number;
}

static void set_long(avro_value_t *record, const char *name, int64_t number)
{
	avro_value_t value = field(record, name);

	avro_value_set_long(&value, number);
}

static char *copy_string(avro_value_t *value)
{
	const char *text = "";
	size_t size = 1;

	avro_value_get_string(value, &text, &size); /* size counts the NUL */
	return mem_strndup(text, size - 1);
}

static char *get_string(avro_value_t *record, const char *name)
{
	avro_value_t value = field(record, name);

	return copy_string(&value);
}

/* What is refused on reading is refused on writing. */
static int check_string(const char *name, const char *text, struct err *err)
{
	size_t len = strlen(text);

	if (len > string_max(name))
		return err_set(err, ERR_RECORD, "%s: %zu bytes are more than %zu", name, len, string_max(name));
	if (!str_is_text((struct str){ text, (uint32_t)len }))
		return err_set(err, ERR_RECORD, "%s: not UTF-8 text", name);
	return 0;
}

static int set_string(avro_value_t *record, const char *name, const char *text, struct err *err)
{
	avro_value_t value = field(record, name);

	if (!text)
		text = "";
	if (check_string(name, text, err))
		return -1;
	avro_value_set_string(&value, text);
	return 0;
}

static bool get_optional_long(avro_value_t *record, const char *name, int64_t *ret_number)
{
	avro_value_t value = field(record, name), branch;
	int index = 0;

	*ret_number = 0;
	avro_value_get_discriminant(&value, &index);
	if (index == 0)
		return false;
	avro_value_get_current_branch(&value, &branch);
	avro_value_get_long(&branch, ret_number);
	return true;
}

static void set_optional_long(avro_value_t *record, const char *name, bool has, int64_t number)
{
	avro_value_t value = field(record, name), branch;

	avro_value_set_branch(&value, has, &branch);
	if (has)
		avro_value_set_long(&branch, number);
	else
		avro_value_set_null(&branch);
}

/* --- fetch_task -------------------------------------------------------------------------------------------------------- */

void fetch_task_release(struct fetch_task *task)
{
	free(task->subscription);
	free(task->source);
	free(task->record_type);
	free(task->dataset);
	free(task->schema);
	free(task->path);
	free(task->stype_in);
	free(task->parameters);
	for (unsigned i = 0; i < task->symbol_count; i++)
		free(task->symbols[i]);
	free(task->symbols);
	*task = (struct fetch_task)FETCH_TASK_INIT;
}

static int set_symbols(avro_value_t *record, const struct fetch_task *task, struct err *err)
{
	avro_value_t array = field(record, "symbols"), item;

	if (task->symbol_count > SYMBOLS_MAX)
		return err_set(err, ERR_RECORD, "symbols: %u are more than %d", task->symbol_count, SYMBOLS_MAX);
	for (unsigned i = 0; i < task->symbol_count; i++) {
		if (check_string("symbols", task->symbols[i], err))
			return -1;
		avro_value_append(&array, &item, NULL);
		avro_value_set_string(&item, task->symbols[i]);
	}
	return 0;
}

static void get_symbols(avro_value_t *record, struct fetch_task *task)
{
	avro_value_t array = field(record, "symbols"), item;
	size_t count = 0;

	avro_value_get_size(&array, &count);
	if (count == 0)
		return;
	task->symbols = mem_zalloc(count, sizeof(*task->symbols));
	for (; task->symbol_count < count; task->symbol_count++) {
		avro_value_get_by_index(&array, task->symbol_count, &item, NULL);
		task->symbols[task->symbol_count] = copy_string(&item);
	}
}

int fetch_task_encode(const struct fetch_task *task, struct buf *out, struct err *err)
{
	CLEANUP(schema_closep) avro_schema_t schema = schema_open("fetch_task");
	CLEANUP(value_closep) avro_value_t value = value_open(schema);

	set_long(&value, "attempt", task->attempt);
	set_long(&value, "task", task->task);
	set_long(&value, "run", task->run);
	set_optional_long(&value, "start", task->has_start, task->start);
	set_optional_long(&value, "end", task->has_end, task->end);
	if (set_string(&value, "subscription", task->subscription, err) ||
	    set_string(&value, "source", task->source, err) ||
	    set_string(&value, "record_type", task->record_type, err) ||
	    set_string(&value, "dataset", task->dataset, err) || set_string(&value, "schema", task->schema, err) ||
	    set_string(&value, "path", task->path, err) || set_string(&value, "stype_in", task->stype_in, err) ||
	    set_string(&value, "parameters", task->parameters, err) || set_symbols(&value, task, err))
		return err_wrap(err, "fetch_task");
	return write_message("fetch_task", &value, out, err);
}

int fetch_task_decode(struct str message, struct fetch_task *ret_task, struct err *err)
{
	CLEANUP(value_closep) avro_value_t value = { 0 };
	CLEANUP(buf_release) struct buf room = BUF_INIT(MESSAGE_MAX);

	message = as_newest("fetch_task", message, &room);
	if (read_message("fetch_task", message, &value, err))
		return -1;
	*ret_task = (struct fetch_task){
		.attempt = get_long(&value, "attempt"),
		.task = get_long(&value, "task"),
		.run = get_long(&value, "run"),
		.subscription = get_string(&value, "subscription"),
		.source = get_string(&value, "source"),
		.record_type = get_string(&value, "record_type"),
		.dataset = get_string(&value, "dataset"),
		.schema = get_string(&value, "schema"),
		.path = get_string(&value, "path"),
		.stype_in = get_string(&value, "stype_in"),
		.parameters = get_string(&value, "parameters"),
	};
	ret_task->has_start = get_optional_long(&value, "start", &ret_task->start);
	ret_task->has_end = get_optional_long(&value, "end", &ret_task->end);
	get_symbols(&value, ret_task);
	return 0;
}

/* --- task_event -------------------------------------------------------------------------------------------------------- */

void task_event_release(struct task_event *event)
{
	free(event->worker);
	free(event->message);
	free(event->result);
	*event = (struct task_event)TASK_EVENT_INIT;
}

int task_event_encode(const struct task_event *event, struct buf *out, struct err *err)
{
	CLEANUP(schema_closep) avro_schema_t schema = schema_open("task_event");
	CLEANUP(value_closep) avro_value_t value = value_open(schema);
	avro_value_t state = field(&value, "state");

	set_long(&value, "attempt", event->attempt);
	set_long(&value, "task", event->task);
	set_long(&value, "run", event->run);
	avro_value_set_enum(&state, (int)event->state);
	set_long(&value, "fetched", event->fetched);
	set_long(&value, "refused", event->refused);
	set_long(&value, "skipped", event->skipped);
	set_long(&value, "input_bytes", event->input_bytes);
	set_long(&value, "ts", event->ts);
	if (set_string(&value, "worker", event->worker, err) || set_string(&value, "message", event->message, err) ||
	    set_string(&value, "result", event->result, err))
		return err_wrap(err, "task_event");
	return write_message("task_event", &value, out, err);
}

int task_event_decode(struct str message, struct task_event *ret_event, struct err *err)
{
	CLEANUP(value_closep) avro_value_t value = { 0 };
	CLEANUP(buf_release) struct buf room = BUF_INIT(MESSAGE_MAX);
	avro_value_t field_state;
	int state = 0;

	message = as_newest("task_event", message, &room);
	if (read_message("task_event", message, &value, err))
		return -1;
	field_state = field(&value, "state");
	avro_value_get_enum(&field_state, &state);
	*ret_event = (struct task_event){
		.attempt = get_long(&value, "attempt"),
		.task = get_long(&value, "task"),
		.run = get_long(&value, "run"),
		.state = (enum attempt_state)state,
		.fetched = get_long(&value, "fetched"),
		.refused = get_long(&value, "refused"),
		.skipped = get_long(&value, "skipped"),
		.input_bytes = get_long(&value, "input_bytes"),
		.worker = get_string(&value, "worker"),
		.ts = get_long(&value, "ts"),
		.message = get_string(&value, "message"),
		.result = get_string(&value, "result"),
	};
	return 0;
}
