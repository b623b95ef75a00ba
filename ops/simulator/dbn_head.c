#include "ops/simulator/dbn_head.h"

#include "common/cleanup.h"
#include "common/clock.h"

#define SYMBOL_BYTES_V1 22
#define RESERVED_V1 47
#define RESERVED 53

static void put_le(struct buf *buf, uint64_t value, unsigned bytes)
{
	value = htole64(value);
	buf_put(buf, &value, bytes);
}

static void put_zeros(struct buf *buf, size_t n)
{
	while (n-- > 0)
		buf_put_u8(buf, 0);
}

static void put_cstr(struct buf *buf, struct str text, uint32_t field_bytes)
{
	if (text.len >= field_bytes)
		text.len = field_bytes - 1;
	buf_put_str(buf, text);
	put_zeros(buf, field_bytes - text.len);
}

static void put_cstrs(struct buf *buf, const struct str *texts, uint32_t count, uint32_t field_bytes)
{
	put_le(buf, count, 4);
	for (uint32_t i = 0; i < count; i++)
		put_cstr(buf, texts[i], field_bytes);
}

static void put_day(struct buf *buf, int32_t day)
{
	struct civil c = clock_civil(day);

	put_le(buf, (uint64_t)c.year * 10000 + c.month * 100u + c.day, 4);
}

static void put_mapping(struct buf *buf, const struct dbn_mapping *mapping, uint32_t field_bytes)
{
	put_cstr(buf, mapping->raw_symbol, field_bytes);
	put_le(buf, mapping->interval_count, 4);
	for (uint32_t i = 0; i < mapping->interval_count; i++) {
		put_day(buf, mapping->intervals[i].start_day);
		put_day(buf, mapping->intervals[i].end_day);
		put_cstr(buf, mapping->intervals[i].symbol, field_bytes);
	}
}

static void put_fixed(struct buf *buf, const struct dbn_metadata *m, unsigned version)
{
	put_cstr(buf, m->dataset, DBN_DATASET_BYTES);
	put_le(buf, m->schema, 2);
	put_le(buf, m->start, 8);
	put_le(buf, m->end, 8);
	put_le(buf, m->limit, 8);
	if (version == 1)
		put_le(buf, UINT64_MAX, 8); /* how many records: not known */
	put_le(buf, m->stype_in, 1);
	put_le(buf, m->stype_out, 1);
	put_le(buf, m->ts_out, 1);
	if (version > 1)
		put_le(buf, DBN_SYMBOL_BYTES, 2);
	put_zeros(buf, version == 1 ? RESERVED_V1 : RESERVED);
	put_le(buf, 0, 4); /* no schema definition */
}

static void put_block(struct buf *buf, const struct dbn_metadata *m, unsigned version)
{
	uint32_t field_bytes = version == 1 ? SYMBOL_BYTES_V1 : DBN_SYMBOL_BYTES;

	put_fixed(buf, m, version);
	put_cstrs(buf, m->symbols, m->symbol_count, field_bytes);
	put_cstrs(buf, m->partial, m->partial_count, field_bytes);
	put_cstrs(buf, m->not_found, m->not_found_count, field_bytes);
	put_le(buf, m->mapping_count, 4);
	for (uint32_t i = 0; i < m->mapping_count; i++)
		put_mapping(buf, &m->mappings[i], field_bytes);
	if (version == 3)
		put_zeros(buf, -buf->len & 7);
}

int dbn_head_put(struct buf *buf, const struct dbn_metadata *metadata, unsigned version, struct err *err)
{
	CLEANUP(buf_release) struct buf block = BUF_INIT(DBN_METADATA_MAX);

	put_block(&block, metadata, version);
	buf_put(buf, "DBN", 3);
	put_le(buf, version, 1);
	put_le(buf, block.len, 4);
	buf_put(buf, block.data, block.len);
	if (block.overflow || buf->overflow)
		return err_set(err, ERR_FATAL, "the metadata passes %u bytes: fewer symbols or days per file",
			       DBN_METADATA_MAX);
	return 0;
}
