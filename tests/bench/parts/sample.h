#pragma once
/* What is measured with: made-up records of every type, the same at every start. */
#include "common/data_types.h"
#include "schemas.h"

#define SAMPLES_MAX 1024

/* All of its records are of one attempt, violate no rule and become rows. */
struct sample {
	const struct data_type *type;
	char *raw, *clean;                /* records, one behind the other */
	struct str messages[SAMPLES_MAX]; /* the raw ones, encoded */
};

extern struct sample samples[DATA_TYPES];
extern unsigned sample_count; /* of each type */

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

/* At most SAMPLES_MAX of each type. */
void samples_open(unsigned count);

/* Ends the program with the reason where what must be so is not. */
void need(bool good, const char *what);
