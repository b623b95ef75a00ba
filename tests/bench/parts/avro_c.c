#include "tests/bench/parts/avro_c.h"

#include <avro.h>

#include "common/embed.h"
#include "common/record.h"
#include "tests/bench/parts/sample.h"

#define MESSAGE_MAX 400 /* bytes of a bar */

static avro_value_t generic;

void generic_open(void)
{
	struct str text = embed_find(ohlcv_type.file);
	avro_schema_t schema;
	avro_value_iface_t *class;

	need(avro_schema_from_json_length(text.data, text.len, &schema) == 0, "avro-c does not take the schema");
	class = avro_generic_class_from_schema(schema);
	need(avro_generic_value_new(class, &generic) == 0, "avro-c has no value");
	avro_value_iface_decref(class);
	avro_schema_decref(schema);
}

void generic_close(void)
{
	avro_value_decref(&generic);
}

void generic_decode(struct str message)
{
	avro_reader_t reader =
		avro_reader_memory(message.data + CONFLUENT_PREFIX, (int64_t)message.len - CONFLUENT_PREFIX);

	need(avro_value_read(reader, &generic) == 0, "avro-c cannot read");
	avro_reader_free(reader);
}

void generic_encode(struct buf *out)
{
	avro_writer_t writer = avro_writer_memory((char *)buf_room(out, MESSAGE_MAX), MESSAGE_MAX);

	need(avro_value_write(writer, &generic) == 0, "avro-c cannot write");
	out->len += (size_t)avro_writer_tell(writer);
	avro_writer_free(writer);
}
