#pragma once
/*
 * Files of the checkout that are compiled into every binary (topic table,
 * schemas and their lock, SQL, rule sets), found by their path in it.
 */
#include "common/str.h"

struct embedded {
	const char *path;
	const char *start;
	const char *end; /* followed by a NUL */
};

extern const struct embedded embedded_files[]; /* ends with a path of NULL, sorted by path */

/* The file's text, NUL-terminated; aborts when there is no such file: the build left it out. */
struct str embed_find(const char *path);
