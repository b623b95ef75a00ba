/* A ZIP archive whose files are stored, not compressed (APPNOTE.TXT 6.3.3; no Zip64: up to 4 GB). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "ops/simulator/vendor/jobs.h"

#define LOCAL_SIGNATURE 0x04034b50u
#define CENTRAL_SIGNATURE 0x02014b50u
#define END_SIGNATURE 0x06054b50u
#define VERSION 20
#define DOS_DATE 0x21 /* 1980-01-01 */
#define PIECE_BYTES (64 * 1024)
#define DIRECTORY_MAX (16 * 1024 * 1024)

static void put_le(struct buf *buf, uint64_t value, unsigned bytes)
{
	value = htole64(value);
	buf_put(buf, &value, bytes);
}

/* What local header and directory have in common. */
static void put_entry(struct buf *buf, const struct job_file *file)
{
	put_le(buf, VERSION, 2);
	put_le(buf, 0, 2); /* flags */
	put_le(buf, 0, 2); /* stored */
	put_le(buf, 0, 2);
	put_le(buf, DOS_DATE, 2);
	put_le(buf, file->crc32, 4);
	put_le(buf, (uint64_t)file->size, 4);
	put_le(buf, (uint64_t)file->size, 4);
	put_le(buf, strlen(file->name), 2);
	put_le(buf, 0, 2); /* no extra field */
}

static void put_central(struct buf *buf, const struct job_file *file, int64_t offset)
{
	put_le(buf, CENTRAL_SIGNATURE, 4);
	put_le(buf, VERSION, 2);
	put_entry(buf, file);
	put_le(buf, 0, 2); /* no comment */
	put_le(buf, 0, 2); /* first disk */
	put_le(buf, 0, 2);
	put_le(buf, 0, 4);
	put_le(buf, (uint64_t)offset, 4);
	buf_put_text(buf, file->name);
}

static int copy_file(FILE *to, const struct job *job, const struct job_file *file, struct err *err)
{
	CLEANUP(freep) char *path = mem_printf("%s/%s", job->folder, file->name);
	FILE *from = fopen(path, "re");
	char piece[PIECE_BYTES];
	size_t n;

	if (!from)
		return err_set(err, ERR_RETRY, "%s: %s", path, strerror(errno));
	while ((n = fread(piece, 1, sizeof(piece), from)) > 0)
		fwrite(piece, 1, n, to);
	fclose(from);
	return 0;
}

static int put_file(FILE *to, const struct job *job, const struct job_file *file, struct buf *directory,
		    struct err *err)
{
	CLEANUP(buf_release) struct buf local = BUF_INIT(JOB_FILE_NAME_MAX + 64);

	put_central(directory, file, ftell(to));
	put_le(&local, LOCAL_SIGNATURE, 4);
	put_entry(&local, file);
	buf_put_text(&local, file->name);
	fwrite(local.data, 1, local.len, to);
	return copy_file(to, job, file, err);
}

static void put_end(struct buf *directory, uint32_t count, int64_t offset)
{
	size_t bytes = directory->len;

	put_le(directory, END_SIGNATURE, 4);
	put_le(directory, 0, 4); /* disks */
	put_le(directory, count, 2);
	put_le(directory, count, 2);
	put_le(directory, bytes, 4);
	put_le(directory, (uint64_t)offset, 4);
	put_le(directory, 0, 2); /* no comment */
}

static int write_all(FILE *to, const struct job *job, struct err *err)
{
	CLEANUP(buf_release) struct buf directory = BUF_INIT(DIRECTORY_MAX);

	if (job->package_size > UINT32_MAX / 2)
		return err_set(err, ERR_RECORD, "too large for one archive");
	for (uint32_t i = 0; i < job->file_count; i++)
		if (put_file(to, job, &job->files[i], &directory, err))
			return -1;
	put_end(&directory, job->file_count, ftell(to));
	fwrite(directory.data, 1, directory.len, to);
	return 0;
}

int job_write_zip(const struct job *job, const char *path, struct err *err)
{
	FILE *to = fopen(path, "we");
	int failed;

	if (!to)
		return err_set(err, ERR_RETRY, "%s: %s", path, strerror(errno));
	failed = write_all(to, job, err);
	if ((ferror(to) | fclose(to)) != 0 && !failed)
		failed = err_set(err, ERR_RETRY, "%s: %s", path, strerror(errno));
	return failed;
}
