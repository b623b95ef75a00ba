#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "common/cleanup.h"
#include "common/json_out.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/formats/format.h"

#define RECORD_MAX (1024 * 1024)
#define FILE_MAX (1024 * 1024)
#define STRETCHED 22000 /* three are a line's maximum */

/* Refusals are what most inputs come to: nobody reads them. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_open("fuzz", LOG_ERROR);
	return 0;
}

/* --- bytes --------------------------------------------------------------------------------------------------------------- */

struct fuzz_bytes fuzz_cut(struct fuzz_bytes *bytes, size_t n)
{
	struct fuzz_bytes cut = { bytes->data, n < bytes->len ? n : bytes->len };

	bytes->data += cut.len;
	bytes->len -= cut.len;
	return cut;
}

uint8_t fuzz_take(struct fuzz_bytes *bytes)
{
	struct fuzz_bytes one = fuzz_cut(bytes, 1);

	return one.len > 0 ? one.data[0] : 0;
}

ssize_t fuzz_read_piece(void *self, uint8_t *to, size_t n, struct err *failure)
{
	struct fuzz_pieces *pieces = self;
	struct fuzz_bytes piece;

	(void)failure;
	FUZZ_CHECK(n > 0);
	if (pieces->piece > 0 && pieces->calls++ % 2 == 0)
		return BYTE_INPUT_LATER;
	piece = fuzz_cut(&pieces->bytes, pieces->piece > 0 && pieces->piece < n ? pieces->piece : n);
	memcpy(to, piece.data, piece.len);
	return (ssize_t)piece.len;
}

/* Inputs are small: a byte that no text has makes lines that are too long, and files larger than a window. */
static void stretch(struct fuzz_bytes bytes, struct buf *ret)
{
	for (size_t i = 0; i < bytes.len; i++) {
		bool stretched = bytes.data[i] == FUZZ_STRETCH && i > 0;
		size_t n = stretched ? STRETCHED : 1;
		uint8_t *room = buf_room(ret, n);

		if (!room)
			return;
		memset(room, bytes.data[stretched ? i - 1 : i], n);
		ret->len += n;
	}
}

const char *fuzz_file(struct fuzz_bytes bytes)
{
	static struct buf file = BUF_INIT(FILE_MAX);
	static char path[32];
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", 0);
	buf_reset(&file);
	stretch(bytes, &file);
	FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
	FUZZ_CHECK(pwrite(fd, file.data, file.len, 0) == (ssize_t)file.len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

uint64_t fuzz_hash(uint64_t hash, const void *bytes, size_t n)
{
	return n > 0 ? crc32_z(hash, bytes, n) : hash;
}

/* --- records --------------------------------------------------------------------------------------------------------------- */

static void check_json(const struct record_type *type, const void *record)
{
	static struct buf text = BUF_INIT(8 * RECORD_MAX);
	struct json_out out = JSON_OUT(&text);
	json_t *json;

	buf_reset(&text);
	record_json(type, record, &out);
	FUZZ_CHECK(!text.overflow);
	json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	FUZZ_CHECK(json_object_size(json) == type->field_count);
	json_decref(json);
}

uint64_t fuzz_check_record(const struct record_type *type, const void *record)
{
	static struct buf first = BUF_INIT(RECORD_MAX), second = BUF_INIT(RECORD_MAX);
	CLEANUP(freep) void *decoded = mem_zalloc(1, type->size);
	struct err err = ERR_INIT;

	buf_reset(&first);
	buf_reset(&second);
	record_encode(type, record, &first);
	FUZZ_CHECK(!first.overflow && record_schema_id(buf_str(&first)) == type->schema_id);
	FUZZ_CHECK(record_decode(type, decoded, buf_str(&first), &err) == 0);
	record_encode(type, decoded, &second);
	FUZZ_CHECK(str_eq(buf_str(&first), buf_str(&second)));
	check_json(type, decoded);
	return fuzz_hash(FUZZ_HASH, first.data, first.len);
}

/* --- items ----------------------------------------------------------------------------------------------------------------- */

/* What is text in a record can be text in the database. */
static void check_texts(const struct record_type *type, const void *record)
{
	for (unsigned i = 0; i < type->field_count; i++)
		if (type->fields[i].type == FIELD_STRING && record_has(record, &type->fields[i]))
			FUZZ_CHECK(str_is_text(record_string(record, &type->fields[i])));
}

static uint64_t check_good(const struct source_item *item)
{
	const char *record = item->record, *lineage = (const char *)item->lineage;

	FUZZ_CHECK(item->type && item->record && item->lineage && item->schema);
	FUZZ_CHECK(lineage > record && lineage + sizeof(*item->lineage) <= record + item->type->size);
	FUZZ_CHECK(item->symbol.len > 0 && str_is_text(item->symbol));
	check_texts(item->type, item->record);
	*item->lineage = (struct lineage){ ATTEMPT_MIN, 1, 1 };
	return fuzz_check_record(item->type, item->record);
}

uint64_t fuzz_check_item(const struct source_item *item)
{
	uint64_t hash = FUZZ_HASH;

	if (item->kind == SOURCE_RECORD)
		hash = check_good(item);
	if (item->kind == SOURCE_REFUSED) {
		FUZZ_CHECK(item->message && item->message[0] && str_is_text(item->symbol));
		hash = fuzz_hash(hash, item->message, strlen(item->message));
	}
	hash = fuzz_hash(hash, &item->kind, sizeof(item->kind));
	hash = fuzz_hash(hash, &item->ts_event, sizeof(item->ts_event));
	hash = fuzz_hash(hash, &item->ts_index, sizeof(item->ts_index));
	hash = fuzz_hash(hash, item->symbol.data, item->symbol.len);
	return fuzz_hash(hash, item->bytes.data, item->bytes.len);
}

void fuzz_read_items(struct format *format, struct fuzz_items *ret)
{
	struct source_item item = { .kind = SOURCE_LATER };

	while (ret->outcome == 0 && item.kind != SOURCE_END && ret->count < FUZZ_ITEMS_MAX) {
		ret->outcome = format->ops->next(format, &item, &ret->err);
		if (ret->outcome == 0 && item.kind != SOURCE_LATER && item.kind != SOURCE_END)
			ret->hashes[ret->count++] = fuzz_check_item(&item);
	}
	/* Bytes are at fault, never the machine: else the same task would be tried for ever. */
	FUZZ_CHECK(ret->outcome == 0 || (ret->err.kind == ERR_RECORD && ret->err.text[0]));
	FUZZ_CHECK(format->ops->input_bytes(format) >= 0);
}
