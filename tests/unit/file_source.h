#pragma once
/* A task's file as the fetcher opens it. */
#include "stages/fetcher/source.h"

static inline int file_source_open(struct source **ret, const struct fetch_task *task, struct err *err)
{
	static const struct source_env no_vendors;

	return source_open(ret, &no_vendors, task, "", err);
}
