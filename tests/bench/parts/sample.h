#pragma once
/* What is measured with: made-up records of every type, the same at every start. */
#include "common/data_types.h"
#include "schemas.h"

#define SAMPLES 1024 /* records of each type */

/* All of its records are of one attempt, violate no rule and become rows. */
struct sample {
	const struct data_type *type;
	char *raw, *clean;            /* records, one behind the other */
	struct str messages[SAMPLES]; /* the raw ones, encoded */
};

extern struct sample samples[DATA_TYPES];

static inline void *sample_raw(enum data_type_id type, unsigned i)
{
	return samples[type].raw + (size_t)i * samples[type].type->raw->size;
}

static inline void *sample_clean(enum data_type_id type, unsigned i)
{
	return samples[type].clean + (size_t)i * samples[type].type->clean->size;
}

/* The instant at which they are looked at, in ns. */
#define SAMPLE_NOW INT64_C(1710500000000000000)

void samples_open(void);

/* Ends the program with the reason where what must be so is not. */
void need(bool good, const char *what);
