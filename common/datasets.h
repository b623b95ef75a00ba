#pragma once
/*
 * What is known of vendors' datasets, from common/datasets.yaml: where they
 * are, what is traded there, and when. One file for every stage: sessions
 * (transformer), rules for a class of assets (validator).
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

#define DATASETS_FILE "common/datasets.yaml" /* embedded */

struct dataset {
	struct str name;
	const char *region, *timezone, *calendar; /* calendar "": not known */
	int32_t session_start; /* after midnight of the session's date, seconds; negative: the evening before */
	bool has_hours;        /* the next two are known */
	int32_t opens, closes; /* of its trading, counted like session_start */
	uint8_t asset_class;   /* number of it among those in the file */
};

struct datasets;

/* `name` stands in errors. Texts live as long as what is returned. */
int datasets_read(struct datasets **ret, const char *name, struct str yaml, struct err *err);
void datasets_freep(struct datasets **datasets);

unsigned datasets_count(const struct datasets *datasets);
const struct dataset *datasets_at(const struct datasets *datasets, unsigned index);

/* NULL where it is not in the file. One look: for every record, if need be. */
const struct dataset *datasets_find(const struct datasets *datasets, struct str name);

/* The number of a class, -1 where no dataset is of it. */
int datasets_class(const struct datasets *datasets, struct str asset_class);
/* NULL behind the last. */
const char *datasets_class_name(const struct datasets *datasets, unsigned number);
