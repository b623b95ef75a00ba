#include "common/record.h"

#include "common/clock.h"
#include "common/frame_ids.h"

#define VARINT_MAX 10       /* bytes of a zig-zag long */
#define DECIMAL_BYTES_MAX 8 /* the value is an int64 */

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

static inline uint8_t *put_long(uint8_t *p, int64_t value)
{
	uint64_t z = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

	while (z >= 0x80) {
		*p++ = (uint8_t)(z | 0x80);
		z >>= 7;
	}
	*p++ = (uint8_t)z;
	return p;
}

/* bytes: the unscaled value, two's complement, big-endian, as short as it can be. */
static inline uint8_t *put_decimal(uint8_t *p, int64_t value)
{
	uint64_t magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
	unsigned bits = magnitude ? 64 - (unsigned)__builtin_clzll(magnitude) : 0;
	unsigned n = bits / 8 + 1; /* with room for the sign bit */
	uint64_t be = htobe64((uint64_t)value);

	*p++ = (uint8_t)(n << 1);
	memcpy(p, (const uint8_t *)&be + sizeof(be) - n, n);
	return p + n;
}

/* Bytes that any record of the type can take besides its strings' contents. */
static size_t fixed_bytes_max(const struct record_type *type)
{
	return CONFLUENT_PREFIX + (size_t)type->field_count * (1 + VARINT_MAX);
}

static size_t string_bytes(const struct record_type *type, const void *record)
{
	size_t n = 0;

	for (unsigned i = 0; i < type->field_count; i++)
		if (type->fields[i].type == FIELD_STRING &&
		    (!type->fields[i].nullable || record_has(record, &type->fields[i])))
			n += record_string(record, &type->fields[i]).len;
	return n;
}

static inline uint8_t *put_field(uint8_t *p, const struct record_field *field, const void *record)
{
	const char *at = (const char *)record + field->offset;

	switch (field->type) {
	case FIELD_BOOL:
		*p++ = *(const bool *)at;
		return p;
	case FIELD_INT:
		return put_long(p, *(const int32_t *)at);
	case FIELD_LONG:
		return put_long(p, *(const int64_t *)at);
	case FIELD_DECIMAL:
		return put_decimal(p, *(const int64_t *)at);
	case FIELD_STRING:
		break;
	}
	struct str s = *(const struct str *)at;

	p = put_long(p, s.len);
	if (s.len)
		memcpy(p, s.data, s.len);
	return p + s.len;
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
	for (unsigned i = 0; i < type->field_count; i++) {
		const struct record_field *field = &type->fields[i];

		if (field->nullable) {
			bool present = record_has(record, field);

			*p++ = (uint8_t)((present ? !field->null_branch : field->null_branch) << 1);
			if (!present)
				continue;
		}
		p = put_field(p, field, record);
	}
	out->len += (size_t)(p - start);
}

/* --- decoding -------------------------------------------------------------------------------------------------------- */

struct in {
	const uint8_t *p, *end;
};

static inline bool get_long(struct in *in, int64_t *ret)
{
	uint64_t z = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (in->p == in->end)
			return false;
		uint8_t byte = *in->p++;

		z |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
			return shift < 63 || byte <= 1;
		}
	}
	return false;
}

/* A length and that many bytes. */
static inline bool get_bytes(struct in *in, struct str *ret)
{
	int64_t n;

	if (!get_long(in, &n) || n < 0 || n > in->end - in->p)
		return false;
	*ret = (struct str){ (const char *)in->p, (uint32_t)n };
	in->p += n;
	return true;
}

static inline bool get_decimal(struct in *in, int64_t *ret)
{
	struct str bytes;
	uint64_t value;

	if (!get_bytes(in, &bytes) || bytes.len == 0)
		return false;
	for (; bytes.len > DECIMAL_BYTES_MAX;
	     bytes.data++, bytes.len--) /* sign extension is allowed, no more digits are */
		if (bytes.data[0] != (bytes.data[1] & 0x80 ? '\xff' : '\0'))
			return false;
	value = bytes.data[0] & 0x80 ? ~UINT64_C(0) : 0;
	for (uint32_t i = 0; i < bytes.len; i++)
		value = value << 8 | (uint8_t)bytes.data[i];
	*ret = (int64_t)value;
	return true;
}

static inline bool get_field(struct in *in, const struct record_field *field, void *record)
{
	char *at = (char *)record + field->offset;
	int64_t value;

	switch (field->type) {
	case FIELD_LONG:
		return get_long(in, (int64_t *)at);
	case FIELD_DECIMAL:
		return get_decimal(in, (int64_t *)at);
	case FIELD_STRING:
		return get_bytes(in, (struct str *)at);
	case FIELD_INT:
		if (!get_long(in, &value) || value != (int32_t)value)
			return false;
		*(int32_t *)at = (int32_t)value;
		return true;
	case FIELD_BOOL:
		if (in->p == in->end || *in->p > 1)
			return false;
		*(bool *)at = *in->p++;
		return true;
	}
	return false;
}

static inline bool get_presence(struct in *in, const struct record_field *field, bool *ret_present)
{
	*ret_present = true;
	if (!field->nullable)
		return true;
	if (in->p == in->end || (*in->p != 0 && *in->p != 2))
		return false;
	*ret_present = *in->p++ >> 1 != field->null_branch;
	return true;
}

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
	struct in in = { (const uint8_t *)message.data + CONFLUENT_PREFIX,
			 (const uint8_t *)message.data + message.len };
	uint64_t present = 0;

	if (check_frame(type, message, err))
		return -1;
	for (unsigned i = 0; i < type->field_count; i++) {
		const struct record_field *field = &type->fields[i];
		bool here;

		if (!get_presence(&in, field, &here) || (here && !get_field(&in, field, record)))
			return err_set(err, ERR_RECORD, "field %s of %s does not decode at byte %td of %u", field->name,
				       type->name, (const char *)in.p - message.data, message.len);
		if (field->nullable)
			present |= (uint64_t)here << field->bit;
	}
	*(uint64_t *)record = present;
	if (in.p != in.end)
		return err_set(err, ERR_RECORD, "%td bytes are left over after %s", in.end - in.p, type->name);
	return 0;
}

bool record_lineage(struct str message, struct lineage *ret)
{
	struct in in = { (const uint8_t *)message.data + CONFLUENT_PREFIX,
			 (const uint8_t *)message.data + message.len };

	return record_schema_id(message) != 0 && get_long(&in, &ret->attempt) && get_long(&in, &ret->ordinal) &&
	       get_long(&in, &ret->as_of) && ret->attempt >= ATTEMPT_MIN && ret->ordinal > 0;
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
