#pragma once
/* Batch jobs as the vendor lists them. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/control.h"

#define BATCH_NAME_MAX 200 /* bytes of a job's or a file's name, with NUL */

/* Names become a part of an address: letters, digits, '.', '-', '_', none first that hides a file. NULL is none. */
bool batch_name_is_plain(const char *name);

/* It was submitted for this very attempt: the task's window until `end`, its symbols, and not before it began. */
bool batch_job_is(const json_t *job, const struct fetch_task *task, int64_t end);
