#pragma once
/* A folder of rule files of the test's own. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/mem.h"

static char folder[] = "/tmp/penstock-rules-XXXXXX"; /* rule_folder_make() */

static inline int rule_folder_make(void)
{
	return mkdtemp(folder) ? 0 : -1;
}

static inline void write_file(const char *name, const char *text)
{
	CLEANUP(freep) char *path = mem_printf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static inline void remove_file(const char *name)
{
	CLEANUP(freep) char *path = mem_printf("%s/%s", folder, name);

	assert_int_equal(unlink(path), 0);
}
