#pragma once
/*
 * From one record to another by the names of their fields: what a clean
 * record takes over from the raw one as it is. Planned once, so a copy is a
 * few runs of bytes and the presence of what may be null.
 */
#include "common/record.h"

struct record_copy;

/* Fields of the same name must have the same type: a difference ends the program, as the schemas are its own. */
struct record_copy *record_copy_new(const struct record_type *from, const struct record_type *to);
void record_copy_freep(struct record_copy **copy);

/*
 * Every field of *to that has a namesake; the others, null at first, are the caller's. What
 * may be null in both is null in both; what may be null in *from only is the
 * caller's to look at.
 */
void record_copy_run(const struct record_copy *copy, const void *from, void *to);
