#include "stages/fetcher/formats/dbn_metadata.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

#define RESERVED_BYTES 53
#define V1_RECORD_COUNT_BYTES 8
#define V1_RESERVED_BYTES 47
#define V1_SYMBOL_BYTES 22
#define SYMBOL_BYTES_MAX 1024            /* of one symbol's field; the format's own is DBN_SYMBOL_BYTES */
#define SYMBOLS_MAX (4u * 1024u * 1024u) /* that a block may have room for: each costs some bytes of memory */

struct parser {
	struct bytes in;
	const uint8_t *start;
	uint16_t symbol_bytes;
	struct err *err;
};

#define FAIL(p, fmt, ...) \
	err_set((p)->err, ERR_RECORD, "metadata is corrupt at byte offset %zu: " fmt, \
		DBN_PREFIX_BYTES + (size_t)((p)->in.pos - (p)->start) __VA_OPT__(, ) __VA_ARGS__)

static int check(struct parser *p, const char *what)
{
	return p->in.failed ? FAIL(p, "it ends within %s", what) : 0;
}

/* A count of things of at least `each` bytes: one that cannot be true is refused before anything is allocated. */
static int parse_count(struct parser *p, size_t each, const char *what, uint32_t *ret)
{
	uint32_t n = bytes_le32(&p->in);

	if (check(p, what))
		return -1;
	if (n > bytes_left(&p->in) / each)
		return FAIL(p, "%" PRIu32 " %s do not fit into the %zu bytes left", n, what, bytes_left(&p->in));
	*ret = n;
	return 0;
}

/* Symbols become message keys and text columns: what is no UTF-8 stops here. */
static int parse_text(struct parser *p, size_t n, const char *what, struct str *ret)
{
	*ret = bytes_cstr(&p->in, n);
	if (check(p, what))
		return -1;
	return str_is_text(*ret) ? 0 : FAIL(p, "%s is not UTF-8", what);
}

static int parse_texts(struct parser *p, const char *what, struct str **ret, uint32_t *ret_count)
{
	uint32_t n;

	if (parse_count(p, p->symbol_bytes, what, &n))
		return -1;
	*ret = mem_zalloc(n, sizeof(**ret));
	*ret_count = n;
	for (uint32_t i = 0; i < n; i++)
		if (parse_text(p, p->symbol_bytes, what, &(*ret)[i]))
			return -1;
	return 0;
}

static int parse_day(struct parser *p, int32_t *ret)
{
	uint32_t yyyymmdd = bytes_le32(&p->in);

	if (check(p, "a mapping's interval"))
		return -1;
	return clock_days_of_yyyymmdd(yyyymmdd, ret) ? 0 : FAIL(p, "%" PRIu32 " is no date", yyyymmdd);
}

static int parse_mapping(struct parser *p, struct dbn_metadata *m, struct dbn_mapping *ret)
{
	uint32_t n;

	if (parse_text(p, p->symbol_bytes, "a mapping's symbol", &ret->raw_symbol) ||
	    parse_count(p, 8u + p->symbol_bytes, "intervals of a mapping", &n))
		return -1;
	ret->intervals = m->intervals + m->interval_count;
	ret->interval_count = n;
	for (uint32_t i = 0; i < n; i++) {
		struct dbn_interval *interval = &m->intervals[m->interval_count++];

		if (parse_day(p, &interval->start_day) || parse_day(p, &interval->end_day) ||
		    parse_text(p, p->symbol_bytes, "an interval's symbol", &interval->symbol))
			return -1;
	}
	return 0;
}

static int parse_mappings(struct parser *p, struct dbn_metadata *m)
{
	uint32_t n;

	if (parse_count(p, 4u + p->symbol_bytes, "mappings", &n))
		return -1;
	m->mappings = mem_zalloc(n, sizeof(*m->mappings));
	m->mapping_count = n;
	/* Room for as many intervals as the bytes can hold; their counts are checked against the bytes. */
	m->intervals = mem_zalloc(bytes_left(&p->in) / (8u + p->symbol_bytes), sizeof(*m->intervals));
	for (uint32_t i = 0; i < n; i++)
		if (parse_mapping(p, m, &m->mappings[i]))
			return -1;
	return 0;
}

/* How long symbols are is said since version 2. */
static void parse_symbol_bytes(struct parser *p, unsigned version)
{
	p->symbol_bytes = version == 1 ? V1_SYMBOL_BYTES : bytes_le16(&p->in);
	bytes_take(&p->in, version == 1 ? V1_RESERVED_BYTES : RESERVED_BYTES);
}

static int check_fixed(struct parser *p, uint32_t definitions)
{
	if (check(p, "the fixed fields"))
		return -1;
	if (p->symbol_bytes < 2 || p->symbol_bytes > SYMBOL_BYTES_MAX)
		return FAIL(p, "symbols of %u bytes", p->symbol_bytes);
	if (bytes_left(&p->in) / p->symbol_bytes > SYMBOLS_MAX)
		return FAIL(p, "symbols of %u bytes, with room for more than %u", p->symbol_bytes, SYMBOLS_MAX);
	return definitions == 0 ? 0 : FAIL(p, "a schema definition of %" PRIu32 " bytes", definitions);
}

static int parse_fixed(struct parser *p, struct dbn_metadata *m)
{
	if (parse_text(p, DBN_DATASET_BYTES, "the dataset", &m->dataset))
		return -1;
	m->schema = bytes_le16(&p->in);
	m->start = bytes_le64(&p->in);
	m->end = bytes_le64(&p->in);
	m->limit = bytes_le64(&p->in);
	if (m->version == 1)
		bytes_take(&p->in, V1_RECORD_COUNT_BYTES);
	m->stype_in = bytes_u8(&p->in);
	m->stype_out = bytes_u8(&p->in);
	m->ts_out = bytes_u8(&p->in) != 0;
	parse_symbol_bytes(p, m->version);
	return check_fixed(p, bytes_le32(&p->in));
}

int dbn_metadata_parse(struct dbn_metadata *metadata, unsigned version, struct str block, struct err *err)
{
	struct parser p = { bytes_of(block.data, block.len), (const uint8_t *)block.data, 0, err };

	*metadata = (struct dbn_metadata){ .version = version };
	if (parse_fixed(&p, metadata) || parse_texts(&p, "symbols", &metadata->symbols, &metadata->symbol_count) ||
	    parse_texts(&p, "partial symbols", &metadata->partial, &metadata->partial_count) ||
	    parse_texts(&p, "symbols not found", &metadata->not_found, &metadata->not_found_count) ||
	    parse_mappings(&p, metadata)) {
		dbn_metadata_release(metadata);
		return -1;
	}
	return 0;
}

void dbn_metadata_release(struct dbn_metadata *metadata)
{
	free(metadata->symbols);
	free(metadata->partial);
	free(metadata->not_found);
	free(metadata->mappings);
	free(metadata->intervals);
	*metadata = (struct dbn_metadata){ 0 };
}
