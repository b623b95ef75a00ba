#pragma once
/*
 * What the chaos tests break, in builds made with FAULTS=1 only (build/faults);
 * in every other build nothing of it is left.
 *
 * A point is a named place in a program: "loader.before_commit". Where a file
 * of that name stands in the folder $PENSTOCK_FAULTS, the first process that
 * passes the point takes it away and does what it says: `kill`, or `stop N`:
 * SIGSTOP, and N more ms of waiting after it was continued. `kill always`
 * leaves the file where it is; `kill N` is for the first process that passes
 * for the Nth time while the file is there.
 *
 * A defect is a mistake that is built in on purpose, to see whether the tests
 * find it; $PENSTOCK_DEFECT names the one that is on.
 */
#include <stdbool.h>

#include "common/str.h"

#ifdef PENSTOCK_WITH_FAULTS
void fault_open(const char *program);
/* point: without the program's name. */
void fault_point(const char *point);
/* The point "message-TOPIC-KEY", passed before a message of this key is looked into. */
void fault_message(const char *topic, struct str key);
bool fault_defect(const char *name);
#else
static inline void fault_open(const char *program)
{
	(void)program;
}
static inline void fault_point(const char *point)
{
	(void)point;
}
static inline void fault_message(const char *topic, struct str key)
{
	(void)topic;
	(void)key;
}
static inline bool fault_defect(const char *name)
{
	(void)name;
	return false;
}
#endif
