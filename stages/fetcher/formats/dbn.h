#pragma once
/*
 * Databento Binary Encoding, plain or zstd, read as a stream in bounded
 * memory. Layouts: databento's DBN specification (little-endian; metadata,
 * then records of length*4 bytes). Versions 1, 2 and 3.
 *
 * A reader belongs to one thread. Slices in its metadata live as long as it,
 * slices in a record until the next dbn_next().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

#define DBN_VERSION 3 /* the newest */
#define DBN_UNDEF_PRICE INT64_MAX
#define DBN_UNDEF_TIMESTAMP UINT64_MAX
#define DBN_HEADER_BYTES 16
#define DBN_OHLCV_BYTES 56
#define DBN_TS_OUT_BYTES 8
#define DBN_RECORD_MAX 1020                    /* bytes: the length byte counts words of four */
#define DBN_METADATA_MAX (64u * 1024u * 1024u) /* bytes; a file that says more is refused */
#define DBN_SYMBOL_BYTES 71                    /* of a symbol's field, its NUL included */
#define DBN_DATASET_BYTES 16

enum dbn_rtype {
	DBN_TRADE = 0x00,
	DBN_MBP_1 = 0x01, /* of the schema tbbo, too */
	DBN_DEFINITION = 0x13,
	DBN_SYMBOL_MAPPING = 0x16,
	DBN_STATISTICS = 0x18,
	DBN_OHLCV_1S = 0x20,
	DBN_OHLCV_1M = 0x21,
	DBN_OHLCV_1H = 0x22,
	DBN_OHLCV_1D = 0x23,
	DBN_OHLCV_EOD = 0x24,
};

enum dbn_stype { DBN_STYPE_INSTRUMENT_ID = 0, DBN_STYPE_RAW_SYMBOL = 1 };

struct dbn_interval {
	int32_t start_day, end_day; /* days since 1970, end exclusive */
	struct str symbol;
};

struct dbn_mapping {
	struct str raw_symbol;
	const struct dbn_interval *intervals; /* a part of the metadata's */
	uint32_t interval_count;
};

struct dbn_metadata {
	unsigned version;
	struct str dataset;
	uint16_t schema; /* DBN's number; UINT16_MAX: mixed */
	uint64_t start, end, limit;
	uint8_t stype_in, stype_out; /* UINT8_MAX: mixed */
	bool ts_out;
	struct str *symbols, *partial, *not_found;
	uint32_t symbol_count, partial_count, not_found_count;
	struct dbn_mapping *mappings;
	uint32_t mapping_count;
	struct dbn_interval *intervals; /* of all mappings, in their order */
	uint32_t interval_count;
};

/* rtype, ids and time of a record, and its whole bytes; valid until the next call. */
struct dbn_record {
	uint8_t rtype;
	uint16_t publisher_id;
	uint32_t instrument_id;
	uint64_t ts_event;
	struct str bytes;
	uint64_t number;      /* 1 for the first record */
	uint64_t byte_offset; /* in the uncompressed stream */
};

/* What follows a bar's header. */
struct dbn_ohlcv {
	int64_t open, high, low, close; /* DBN_UNDEF_PRICE: none */
	uint64_t volume;
};

struct dbn_reader;

/* Opens and reads the metadata. Errors name path and byte offset; ERR_RECORD unless the machine is at fault. */
int dbn_open(struct dbn_reader **ret, const char *path, struct err *err);

/* Of bytes that come as they come; errors name them `name`. Nothing is read before dbn_begin(). */
struct byte_input;
struct dbn_reader *dbn_new(const char *name, const struct byte_input *input);
void dbn_freep(struct dbn_reader **reader);

enum dbn_step { DBN_FAILED = -1, DBN_END, DBN_READ, DBN_LATER };

/* Reads the metadata, as far as it is there: DBN_READ once it is complete, DBN_LATER before. Errors as dbn_open()'s. */
enum dbn_step dbn_begin(struct dbn_reader *reader, struct err *err);
const struct dbn_metadata *dbn_metadata(const struct dbn_reader *reader);

/* DBN_END is the stream's proper end. DBN_FAILED: cut short or corrupt, with path, record number and byte offset. */
enum dbn_step dbn_next(struct dbn_reader *reader, struct dbn_record *ret, struct err *err);

/* Bytes of the file consumed so far (compressed ones, where it is). */
int64_t dbn_input_bytes(const struct dbn_reader *reader);

/* The open file, for fstat(); the reader keeps it. */
int dbn_fd(const struct dbn_reader *reader);

/* How long a record of that type is in this file (ts_out adds eight bytes to every record); 0: no such type. */
uint32_t dbn_record_bytes(const struct dbn_reader *reader, uint8_t rtype);

/* The bar in a record; false where the record is no bar, or not as long as one in this file. */
bool dbn_ohlcv(const struct dbn_reader *reader, const struct dbn_record *record, struct dbn_ohlcv *ret);

/* The send time behind a record of a file with ts_out. */
bool dbn_ts_out(const struct dbn_reader *reader, const struct dbn_record *record, uint64_t *ret_ns);

/*
 * The symbol of an instrument on the UTC day of a time, an empty slice
 * where the metadata maps none. With stype_out=instrument_id (the usual case)
 * it is the mapping's own text: the raw symbol, or whatever the request
 * named, such as a continuous contract. With stype_in=instrument_id it is the
 * interval's text. Of intervals that overlap, the one that starts last wins,
 * and of those the one that stands last in the file. What dbn_map_symbol()
 * was told goes before.
 */
struct str dbn_symbol(const struct dbn_reader *reader, uint32_t instrument_id, uint64_t ns);

/*
 * Takes what a record DBN_SYMBOL_MAPPING says: from here on it is its
 * instrument's symbol. The output symbol, or the input one where that is a
 * number. ERR_RECORD: the record is not as it should be, and changed nothing.
 */
int dbn_map_symbol(struct dbn_reader *reader, const struct dbn_record *record, struct err *err);

/* "ohlcv-1m" for 6; NULL for a number DBN does not define. */
const char *dbn_schema_name(uint16_t schema);
/* 6 for "ohlcv-1m"; UINT16_MAX for a name DBN does not define. */
uint16_t dbn_schema_number(struct str name);
const char *dbn_stype_name(uint8_t stype);

/* "ohlcv-1m" for 0x21; NULL for anything that is no bar. */
const char *dbn_ohlcv_schema(uint8_t rtype);
/* 0x21 for schema 6; 0 for a schema without bars. */
uint8_t dbn_ohlcv_rtype(uint16_t schema);
