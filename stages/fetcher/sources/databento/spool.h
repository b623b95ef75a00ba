#pragma once
/*
 * A file that arrives piece by piece and is read only when all of it is
 * there and has the hash that it should have. It has no name: whatever
 * becomes of the process, nothing of it stays.
 */
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define SPOOL_HASH_MAX 80 /* "sha256:" and 64 digits, with NUL */

struct spool;

/* In `folder`, "": $TMPDIR or /var/tmp. ERR_RETRY: there is no room, or no such folder. */
int spool_open(struct spool **ret, const char *folder, struct err *err);
void spool_freep(struct spool **spool);

int spool_put(struct spool *spool, const void *bytes, size_t n, struct err *err);
int64_t spool_size(const struct spool *spool);

/* From the beginning again, empty. */
int spool_clear(struct spool *spool, struct err *err);

/* ERR_RECORD: size or hash ("sha256:...") is another one. What follows reads from its first byte. */
int spool_check(struct spool *spool, int64_t size, const char *hash, struct err *err);

/* As struct byte_input has it. */
ssize_t spool_read(void *spool, uint8_t *to, size_t n, struct err *failure);
