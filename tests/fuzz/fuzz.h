#pragma once
/*
 * What the fuzz targets share: each is one LLVMFuzzerTestOneInput() over bytes
 * that somebody else wrote. A promise that is broken ends the process, as a
 * sanitizer's report does.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/record.h"
#include "common/str.h"

#define FUZZ_ITEMS_MAX 2048 /* of one input; a bomb holds more, and they tell nothing new */

#define FUZZ_CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What of the input is not used yet. */
struct fuzz_bytes {
	const uint8_t *data;
	size_t len;
};

/* 0 behind the end. */
uint8_t fuzz_take(struct fuzz_bytes *bytes);
/* Up to n. */
struct fuzz_bytes fuzz_cut(struct fuzz_bytes *bytes, size_t n);
/* One of `count` texts. */
#define FUZZ_CHOOSE(bytes, list) ((list)[fuzz_take(bytes) % (sizeof(list) / sizeof((list)[0]))])

/* Bytes as struct byte_input has them: pieces of that size, with waits in between; 0: as much as is asked for. */
struct fuzz_pieces {
	struct fuzz_bytes bytes;
	size_t piece;
	unsigned calls;
};

ssize_t fuzz_read_piece(void *pieces, uint8_t *to, size_t n, struct err *failure);

/* A file with these bytes, where FUZZ_STRETCH stands for many more of the byte before it; its path. The next call gives the same file others. */
#define FUZZ_STRETCH 0x1A
const char *fuzz_file(struct fuzz_bytes bytes);

/* CRC-32, as zlib has it quickly; begins with FUZZ_HASH. */
#define FUZZ_HASH 0
uint64_t fuzz_hash(uint64_t hash, const void *bytes, size_t n);

/* A record survives the codec and shows as JSON; returns the hash of its encoding. */
uint64_t fuzz_check_record(const struct record_type *type, const void *record);

/* A format's or source's item is what stages/fetcher/source.h promises; returns its hash. */
struct source_item;
uint64_t fuzz_check_item(const struct source_item *item);

/* All items of a format, up to FUZZ_ITEMS_MAX. */
struct fuzz_items {
	uint64_t hashes[FUZZ_ITEMS_MAX];
	unsigned count;
	int outcome; /* -1: then came an error */
	struct err err;
};

struct format;
void fuzz_read_items(struct format *format, struct fuzz_items *ret);
