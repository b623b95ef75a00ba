#pragma once
/*
 * Time zones, read from the system's zoneinfo files (RFC 8536, version 2 and
 * later, with the POSIX rule for the years after the last transition). No
 * process-wide state: a zone is constant once it is open, any number of
 * threads may use it, and $TZ plays no part. Leap seconds are not counted, as
 * in all our times. Instants are those that nanoseconds in an int64 can tell,
 * the years 1678 to 2261.
 */
#include <stdint.h>

#include "common/err.h"

struct tz;

/*
 * "America/Chicago", below $TZDIR or /usr/share/zoneinfo. ERR_FATAL where
 * there is no such zone or its file is damaged.
 */
int tz_open(struct tz **ret, const char *name, struct err *err);
void tz_freep(struct tz **tz);

/* Seconds east of UTC at that instant (seconds since 1970-01-01 UTC). */
int32_t tz_offset(const struct tz *tz, int64_t utc);

/* The wall clock of that instant, as seconds since 1970-01-01 00:00 local time. */
static inline int64_t tz_local(const struct tz *tz, int64_t utc)
{
	return utc + tz_offset(tz, utc);
}

/*
 * The first instant whose wall clock shows `local` or later. A time that the
 * clocks skip in spring is the instant at which they skip it; of one that
 * they show twice in autumn, the first.
 */
int64_t tz_utc(const struct tz *tz, int64_t local);
