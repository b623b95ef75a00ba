#pragma once
/* Venues by the number that a vendor gives its publishers. */
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

struct publishers;

/* `name` stands in errors: stages/transformer/publishers.yaml has the format. */
int publishers_read(struct publishers **ret, const char *name, struct str yaml, struct err *err);
void publishers_freep(struct publishers **publishers);

/* Lives as long as `publishers`; empty where the number is not in the file. */
struct str publishers_venue(const struct publishers *publishers, int32_t id);
