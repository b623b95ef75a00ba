#include "common/embed.h"

#include <stdio.h>
#include <stdlib.h>

struct str embed_find(const char *path)
{
	for (const struct embedded *f = embedded_files; f->path; f++)
		if (strcmp(f->path, path) == 0)
			return (struct str){ f->start, (uint32_t)(f->end - f->start) };
	fprintf(stderr, "not compiled in: %s\n", path);
	abort();
}
