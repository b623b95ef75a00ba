/*
 * Source `kafka`: messages that stood in a topic before. A task of dead letters
 * holds them: what was refused is kept in the archive for longer than in any
 * topic, and a topic that was made anew gives the same places to others. Each
 * goes back where a stage refused it. A task that names a range is
 * kafka_range.c's.
 *
 *   {"stage": "raw", "messages": [["a2V5", "AAAAAAI…", 1, 123], …]}     key and value in base64; null: there is none; how
 *                          often it was put back, this time included; the letter that it was at first
 */
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "stages/fetcher/sources/kafka_range.h"
#include "stages/fetcher/sources/sources.h"

#define MESSAGE_MAX ((size_t)1024 * 1024) /* a task's message holds no more */

struct kafka_source {
	struct source base;
	const struct fetch_task *task;
	json_t *parameters, *messages;
	enum data_type_id data;
	enum data_stage stage;
	size_t next;
	int64_t input_bytes;
	struct buf key, value;
	char identity[48];
	char message[160];
};

static void kafka_free(struct source *source)
{
	struct kafka_source *self = (struct kafka_source *)source;

	json_decref(self->parameters);
	buf_release(&self->key);
	buf_release(&self->value);
	free(self);
}

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static bool find_stage(const char *name, enum data_stage *ret)
{
	static const char *const names[] = { [DATA_RAW] = "raw", [DATA_VALID] = "valid", [DATA_CLEAN] = "clean" };

	for (unsigned i = 0; name && i < DATA_STAGES; i++)
		if (strcmp(names[i], name) == 0) {
			*ret = (enum data_stage)i;
			return true;
		}
	return false;
}

static bool find_type(const char *name, enum data_type_id *ret)
{
	for (unsigned i = 0; name && i < DATA_TYPES; i++)
		if (strcmp(data_types[i].name, name) == 0) {
			*ret = (enum data_type_id)i;
			return true;
		}
	return false;
}

static int read_task(struct kafka_source *self, const struct fetch_task *task, struct err *err)
{
	const char *stage;
	json_error_t where;

	self->task = task;
	self->parameters = json_loads(task->parameters ? task->parameters : "", JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(self->parameters))
		return err_set(err, ERR_RECORD, "the task's parameters: %s",
			       self->parameters ? "no object" : where.text);
	stage = json_string_value(json_object_get(self->parameters, "stage"));
	if (!find_stage(stage, &self->stage))
		return err_set(err, ERR_RECORD, "the task's stage '%.40s' is not raw, valid or clean",
			       stage ? stage : "");
	if (!find_type(task->record_type, &self->data))
		return err_set(err, ERR_RECORD, "the task's record type '%.40s' is not known here",
			       task->record_type ? task->record_type : "");
	return 0;
}

static int read_messages(struct kafka_source *self, struct err *err)
{
	self->messages = json_object_get(self->parameters, "messages");
	if (!json_is_array(self->messages))
		return err_set(err, ERR_RECORD, "the task has no messages");
	snprintf(self->identity, sizeof(self->identity), "messages:%zu", json_array_size(self->messages));
	return 0;
}

static int kafka_open(struct source **ret, const struct source_env *env, const struct fetch_task *task,
		      const char *resume, struct err *err)
{
	struct kafka_source *self = mem_zalloc(1, sizeof(*self));
	CLEANUP(source_freep) struct source *source = &self->base;

	source->ops = &source_kafka_ops;
	self->key = self->value = (struct buf)BUF_INIT(MESSAGE_MAX);
	if (read_task(self, task, err))
		return -1;
	if (json_object_get(self->parameters, "partition"))
		return kafka_range_open(ret, env, task, self->parameters, self->data, self->stage, resume, err);
	if (read_messages(self, err)) /* an item's number says where it is: resume is not needed */
		return -1;
	*ret = STEAL(source);
	return 0;
}

/* --- messages ---------------------------------------------------------------------------------------------------------- */

/* False: it is no base64. The last group's '=' stand for bytes that are not there. */
static bool decode(const json_t *text, struct buf *out)
{
	size_t n = json_string_length(text), groups = n / 4;
	const char *from = json_string_value(text);
	uint8_t *room;
	int written;

	buf_reset(out);
	if (!from || n % 4 != 0 || n > MESSAGE_MAX)
		return false;
	room = n > 0 ? buf_room(out, groups * 3) : NULL;
	if (!room)
		return n == 0;
	written = EVP_DecodeBlock(room, (const unsigned char *)from, (int)n);
	if (written < 0)
		return false;
	out->len += (size_t)written - (from[n - 1] == '=') - (n > 1 && from[n - 2] == '=');
	return true;
}

static const char *refusal_of(struct kafka_source *self, const json_t *message)
{
	const json_t *key = json_array_get(message, 0), *value = json_array_get(message, 1);
	struct lineage lineage;

	buf_reset(&self->key);
	if (!json_is_null(key) && !decode(key, &self->key))
		return "its key is no base64";
	if (!decode(value, &self->value))
		return json_is_null(value) ? "it has no bytes" : "its value is no base64";
	return record_lineage(buf_str(&self->value), &lineage) ? NULL : "it has no lineage, so it has no account";
}

/* Some that are no numbers: it is put back all the same, and nobody knows whose letter it was. */
static struct dead_letter_past past_of(const json_t *message)
{
	json_int_t replays = json_integer_value(json_array_get(message, 2)),
		   first = json_integer_value(json_array_get(message, 3));

	return (struct dead_letter_past){ replays > 0 && replays <= INT32_MAX ? (int32_t)replays : 0,
					  first > 0 ? first : 0 };
}

static int kafka_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	struct kafka_source *self = (struct kafka_source *)source;
	const json_t *message = json_array_get(self->messages, self->next);
	const char *why;

	(void)err;
	*ret_item = (struct source_item){ .kind = SOURCE_END };
	if (!message)
		return 0;
	why = refusal_of(self, message);
	self->next++;
	self->input_bytes += (int64_t)self->value.len;
	*ret_item = (struct source_item){ .kind = why ? SOURCE_REFUSED : SOURCE_MESSAGE,
					  .data = self->data,
					  .stage = self->stage,
					  .symbol = buf_str(&self->key),
					  .schema = self->task->schema ? self->task->schema : "",
					  .bytes = buf_str(&self->value),
					  .past = past_of(message) };
	if (!why)
		return 0;
	snprintf(self->message, sizeof(self->message), "message %zu of the task cannot be put back: %s", self->next,
		 why);
	ret_item->message = self->message;
	return 0;
}

static const char *kafka_identity(const struct source *source)
{
	return ((const struct kafka_source *)source)->identity;
}

static int64_t kafka_input_bytes(const struct source *source)
{
	return ((const struct kafka_source *)source)->input_bytes;
}

const struct source_ops source_kafka_ops = {
	.name = "kafka",
	.open = kafka_open,
	.next = kafka_next,
	.identity = kafka_identity,
	.input_bytes = kafka_input_bytes,
	.free = kafka_free,
};
