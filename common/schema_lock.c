#include "common/schema_lock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/embed.h"

bool schema_lock_next(const char **at, struct schema_version *ret)
{
	const char *line = *at ? *at : embed_find(SCHEMA_LOCK).data;
	bool found = false;

	while (*line && !found) {
		found = line[0] != '#' && sscanf(line, "%63s %u %" SCNu32 " %16s %63s", ret->subject, &ret->version,
						 &ret->id, ret->fingerprint, ret->file) == 5;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	*at = line;
	return found;
}

uint32_t schema_lock_newest(const char *file)
{
	struct schema_version v;
	const char *at = NULL;
	uint32_t newest = 0;

	while (schema_lock_next(&at, &v))
		if (strcmp(v.file, file) == 0 && v.id > newest)
			newest = v.id;
	return newest;
}
