#include "common/record.h"

#include "common/clock.h"
#include "common/frame_ids.h"
#include "common/record_codec.h"

const struct record_field *record_field_find(const struct record_type *type, struct str name)
{
	for (unsigned i = 0; i < type->field_count; i++)
		if (str_eq(str_of(type->fields[i].name), name))
			return &type->fields[i];
	return NULL;
}

uint64_t record_mix(int64_t ordinal)
{
	uint64_t z = (uint64_t)ordinal + UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* --- encoding -------------------------------------------------------------------------------------------------------- */

/* Bytes that any record of the type can take besides its strings' contents. */
static size_t fixed_bytes_max(const struct record_type *type)
{
	return CONFLUENT_PREFIX + (size_t)type->field_count * (1 + VARINT_MAX);
}

static size_t string_bytes(const struct record_type *type, const void *record)
{
	size_t n = 0;

	for (unsigned i = 0; i < type->string_count; i++) {
		const struct record_field *field = &type->fields[type->strings[i]];

		if (record_has(record, field))
			n += record_string(record, field).len;
	}
	return n;
}

void record_encode(const struct record_type *type, const void *record, struct buf *out)
{
	uint8_t *start = buf_room(out, fixed_bytes_max(type) + string_bytes(type, record)), *p = start;
	uint32_t id = htobe32(frame_id_written(type->schema_id));

	if (!start)
		return;
	*p++ = 0;
	memcpy(p, &id, sizeof(id));
	p += sizeof(id);
	p = type->put(p, record);
	out->len += (size_t)(p - start);
}

/* --- decoding -------------------------------------------------------------------------------------------------------- */

/* As it stands there; the message is long enough. */
static uint32_t id_in(struct str message)
{
	uint32_t id;

	memcpy(&id, message.data + 1, sizeof(id));
	return be32toh(id);
}

uint32_t record_schema_id(struct str message)
{
	if (message.len < CONFLUENT_PREFIX || message.data[0] != 0)
		return 0;
	return frame_id_read(id_in(message));
}

static int check_frame(const struct record_type *type, struct str message, struct err *err)
{
	uint32_t id = record_schema_id(message);

	if (id == 0)
		return err_set(err, ERR_RECORD, "not framed: a message starts with 0x00 and a schema id");
	if (id != type->schema_id)
		return err_set(err, ERR_RECORD, "schema id %u is not known here: expected %u (%s)", id_in(message),
			       frame_id_written(type->schema_id), type->name);
	return 0;
}

int record_decode(const struct record_type *type, void *record, struct str message, struct err *err)
{
	struct codec_in in = { (const uint8_t *)message.data + CONFLUENT_PREFIX,
			       (const uint8_t *)message.data + message.len };
	unsigned done;

	if (check_frame(type, message, err))
		return -1;
	done = type->get(&in, record);
	if (done < type->field_count)
		return err_set(err, ERR_RECORD, "field %s of %s does not decode at byte %td of %u",
			       type->fields[done].name, type->name, (const char *)in.p - message.data, message.len);
	if (in.p != in.end)
		return err_set(err, ERR_RECORD, "%td bytes are left over after %s", in.end - in.p, type->name);
	return 0;
}

bool record_lineage(struct str message, struct lineage *ret)
{
	const uint8_t *p = (const uint8_t *)message.data + CONFLUENT_PREFIX;
	const uint8_t *end = (const uint8_t *)message.data + message.len;

	return record_schema_id(message) != 0 && (p = get_long(p, end, &ret->attempt)) &&
	       (p = get_long(p, end, &ret->ordinal)) && get_long(p, end, &ret->as_of) && ret->attempt >= ATTEMPT_MIN &&
	       ret->ordinal > 0;
}

bool record_renumber(struct str message, int64_t attempt, int64_t ordinal, struct buf *out)
{
	const uint8_t *p = (const uint8_t *)message.data + CONFLUENT_PREFIX;
	const uint8_t *end = (const uint8_t *)message.data + message.len;
	struct lineage old;
	uint8_t *room, *to;

	if (!record_lineage(message, &old))
		return false;
	p = get_long(p, end, &old.attempt);
	p = get_long(p, end, &old.ordinal);
	room = buf_room(out, CONFLUENT_PREFIX + 2 * VARINT_MAX + (size_t)(end - p));
	if (!room)
		return false;
	memcpy(room, message.data, CONFLUENT_PREFIX);
	to = put_long(put_long(room + CONFLUENT_PREFIX, attempt), ordinal);
	memcpy(to, p, (size_t)(end - p));
	out->len += (size_t)(to - room) + (size_t)(end - p);
	return true;
}

/* --- JSON ------------------------------------------------------------------------------------------------------------ */

static void field_json(const struct record_field *field, const void *record, struct json_out *out)
{
	char text[CLOCK_TEXT_MAX];

	if (!record_has(record, field))
		json_put_null(out);
	else if (field->type == FIELD_STRING)
		json_put_str(out, record_string(record, field));
	else if (field->type == FIELD_DECIMAL)
		json_put_decimal(out, record_number(record, field));
	else if (field->type == FIELD_BOOL)
		json_put_bool(out, record_number(record, field));
	else if (field->logical == LOGICAL_TIMESTAMP_NANOS)
		json_put_time(out, record_number(record, field));
	else if (field->logical == LOGICAL_DATE) {
		clock_format_date((int32_t)record_number(record, field), text);
		json_put_str(out, str_of(text));
	} else {
		json_put_int(out, record_number(record, field));
	}
}

void record_json(const struct record_type *type, const void *record, struct json_out *out)
{
	json_put_open(out, '{');
	for (unsigned i = 0; i < type->field_count; i++) {
		json_put_key(out, type->fields[i].name);
		field_json(&type->fields[i], record, out);
	}
	json_put_close(out, '}');
}
