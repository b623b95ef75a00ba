#include "stages/fetcher/sources/databento/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/mem.h"

#define DEFAULT_FOLDER "/var/tmp"

struct spool {
	int fd;
	int64_t size;
	EVP_MD_CTX *hash;
};

static int fail(struct err *err, const char *what)
{
	return err_set(err, ERR_RETRY, "databento: spooling a file: %s: %s", what, strerror(errno));
}

static int start_hash(struct spool *spool, struct err *err)
{
	if (!EVP_DigestInit_ex(spool->hash, EVP_sha256(), NULL))
		return err_set(err, ERR_FATAL, "databento: no SHA-256");
	return 0;
}

/* Without a name from the start where the file system can, else at once. */
static int open_nameless(const char *folder, struct err *err)
{
	CLEANUP(freep) char *name = mem_printf("%s/penstock-spool-XXXXXX", folder);
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return fail(err, folder);
	unlink(name);
	return fd;
}

int spool_open(struct spool **ret, const char *folder, struct err *err)
{
	CLEANUP(spool_freep) struct spool *spool = mem_zalloc(1, sizeof(*spool));

	if (!folder[0])
		folder = getenv("TMPDIR") ? getenv("TMPDIR") : DEFAULT_FOLDER;
	spool->hash = EVP_MD_CTX_new();
	spool->fd = open_nameless(folder, err);
	if (spool->fd < 0 || start_hash(spool, err))
		return -1;
	*ret = STEAL(spool);
	return 0;
}

void spool_freep(struct spool **pointer)
{
	struct spool *spool = *pointer;

	*pointer = NULL;
	if (!spool)
		return;
	if (spool->fd >= 0)
		close(spool->fd);
	EVP_MD_CTX_free(spool->hash);
	free(spool);
}

int spool_put(struct spool *spool, const void *bytes, size_t n, struct err *err)
{
	const char *from = bytes;

	EVP_DigestUpdate(spool->hash, bytes, n);
	while (n > 0) {
		ssize_t put = pwrite(spool->fd, from, n, spool->size);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail(err, "writing");
		spool->size += put;
		from += put;
		n -= (size_t)put;
	}
	return 0;
}

int64_t spool_size(const struct spool *spool)
{
	return spool->size;
}

int spool_clear(struct spool *spool, struct err *err)
{
	if (ftruncate(spool->fd, 0) != 0)
		return fail(err, "truncating");
	spool->size = 0;
	return start_hash(spool, err);
}

static void write_hash(struct spool *spool, char text[SPOOL_HASH_MAX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0, len = (unsigned)snprintf(text, SPOOL_HASH_MAX, "sha256:");

	EVP_DigestFinal_ex(spool->hash, digest, &n);
	for (unsigned i = 0; i < n && len + 3 <= SPOOL_HASH_MAX; i++, len += 2)
		snprintf(text + len, SPOOL_HASH_MAX - len, "%02x", digest[i]);
}

int spool_check(struct spool *spool, int64_t size, const char *hash, struct err *err)
{
	char found[SPOOL_HASH_MAX];

	write_hash(spool, found);
	if (spool->size != size)
		return err_set(err, ERR_RECORD, "%" PRId64 " bytes came, it has %" PRId64, spool->size, size);
	if (strcmp(found, hash) != 0)
		return err_set(err, ERR_RECORD, "its hash is %s, not %s", found, hash);
	return lseek(spool->fd, 0, SEEK_SET) == 0 ? 0 : fail(err, "going back");
}

ssize_t spool_read(void *self, uint8_t *to, size_t n, struct err *failure)
{
	struct spool *spool = self;
	ssize_t got;

	do
		got = read(spool->fd, to, n);
	while (got < 0 && errno == EINTR);
	if (got >= 0)
		return got;
	fail(failure, "reading");
	return 0;
}
