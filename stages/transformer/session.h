#pragma once
/*
 * Trading sessions: the date under which a dataset's venue books an instant.
 * A session begins at a time of the venue's wall clock, that day or the
 * evening before, and lasts to the beginning of the next, so that every
 * instant is in exactly one, also where clocks are changed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/datasets.h"
#include "common/err.h"
#include "common/str.h"

struct sessions;
struct session;

/* Opens the time zones; keeps `datasets`, which is to live as long. */
int sessions_open(struct sessions **ret, const struct datasets *datasets, struct err *err);
void sessions_freep(struct sessions **sessions);

/* NULL where the dataset is not in the file. */
struct session *sessions_find(struct sessions *sessions, struct str dataset);

/* Days since 1970. Keeps the session it found for the next call. */
int32_t session_date(struct session *session, int64_t ts_ns);

/* In its hours on a day from Monday to Friday; true where the hours are not known. */
bool session_is_open(struct session *session, int64_t ts_ns);
