/* Records as DBN. */
#include "ops/simulator/records/layout.h"

#define RECORD_MAX 520

static int64_t number_of(const struct record *record, const struct field *field)
{
	int64_t value = field->fill;

	if (field->from != LAYOUT_CONSTANT)
		memcpy(&value, (const char *)record + field->from, sizeof(value));
	return value;
}

static void put_text(uint8_t *to, const struct record *record, const struct field *field, uint16_t bytes)
{
	const char *text = NULL;

	if (field->from != LAYOUT_CONSTANT)
		memcpy(&text, (const char *)record + field->from, sizeof(text));
	if (text)
		memcpy(to, text, strnlen(text, bytes - 1u));
}

static void put_field(uint8_t *to, const struct record *record, const struct field *field, unsigned version)
{
	const struct field_place *place = &field->places[version - 1];
	int64_t value;

	if (place->bytes == 0)
		return;
	if (field->kind == FIELD_TEXT) {
		put_text(to + place->at, record, field, place->bytes);
		return;
	}
	value = number_of(record, field);
	if (field->kind == FIELD_QUANTITY && place->bytes == 4 && value > INT32_MAX)
		value = INT32_MAX; /* undefined, in the narrower form */
	value = (int64_t)htole64((uint64_t)value);
	memcpy(to + place->at, &value, place->bytes);
}

void record_put_dbn(struct buf *buf, const struct record *record, const struct layout *layout, unsigned version)
{
	uint16_t bytes = layout->bytes[version - 1];
	uint8_t out[RECORD_MAX] = { (uint8_t)(record->length_words ? record->length_words : bytes / 4) };

	for (uint32_t i = 0; i < header_field_count; i++)
		put_field(out, record, &header_fields[i], version);
	for (uint32_t i = 0; i < layout->count; i++)
		put_field(out, record, &layout->fields[i], version);
	buf_put(buf, out, bytes);
}
