#include "ops/simulator/vendor/body.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"

void body_release(struct body *body)
{
	if (body->release)
		body->release(body->self);
	*body = (struct body){ 0 };
}

/* --- bytes in memory --------------------------------------------------------------------------------------------- */

struct memory {
	struct buf bytes;
	size_t done;
};

static ssize_t read_memory(void *self, uint8_t *to, size_t max)
{
	struct memory *memory = self;
	size_t left = memory->bytes.len - memory->done, n = left < max ? left : max;

	if (n > 0)
		memcpy(to, memory->bytes.data + memory->done, n);
	memory->done += n;
	return (ssize_t)n;
}

static void release_memory(void *self)
{
	struct memory *memory = self;

	buf_release(&memory->bytes);
	free(memory);
}

struct body body_of_buf(struct buf *buf)
{
	struct memory *memory = mem_zalloc(1, sizeof(*memory));

	memory->bytes = *buf;
	*buf = (struct buf){ .max = buf->max };
	return (struct body){ read_memory, release_memory, memory, (int64_t)memory->bytes.len };
}

/* --- a part of a file -------------------------------------------------------------------------------------------- */

struct file_part {
	int fd;
	int64_t at, end;
};

static ssize_t read_file(void *self, uint8_t *to, size_t max)
{
	struct file_part *part = self;
	int64_t left = part->end - part->at;
	ssize_t n = pread(part->fd, to, (int64_t)max < left ? max : (size_t)left, part->at);

	if (n > 0)
		part->at += n;
	return n;
}

static void release_file(void *self)
{
	struct file_part *part = self;

	close(part->fd);
	free(part);
}

struct body body_of_file(int fd, int64_t first, int64_t end)
{
	struct file_part *part = mem_alloc(sizeof(*part));

	*part = (struct file_part){ fd, first, end };
	return (struct body){ read_file, release_file, part, end - first };
}
