#pragma once
/*
 * Times as files and vendors write them: ISO 8601, numbers since 1970, or a
 * pattern of one's own; in UTC, with an offset, or as a wall clock shows them
 * in a named zone.
 *
 * A wall clock's time that was skipped (spring) is refused. One that came
 * twice (autumn) is refused, or taken as the first or the second of both, as
 * the format says. A date alone names a day, not an instant of a zone: it is
 * that day's midnight in UTC, whatever the zone.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"
#include "common/tz.h"

enum time_form { TIME_ISO, TIME_EPOCH, TIME_PATTERN };
enum time_twice { TIME_TWICE_REFUSE, TIME_TWICE_FIRST, TIME_TWICE_SECOND };

struct time_format {
	enum time_form form;
	int32_t places;  /* TIME_EPOCH: 0 counts seconds, 3 milliseconds, 6, 9 */
	char *pattern;   /* TIME_PATTERN */
	struct tz *zone; /* of times that say no offset; NULL: UTC */
	enum time_twice twice;
};

#define TIME_FORMAT_INIT \
	{ \
		.form = TIME_ISO \
	}

/*
 * format: "" or "iso": 2024-01-31[ or T23:59[:59[.999999999]][Z or +01:00]]; "s", "ms", "us", "ns": since 1970, fractions
 * are read; or a pattern of %Y %y %m %b %d %H %I %p %M %S %f %z %% and other characters, which stand for themselves (%f:
 * digits of a second, %b: Jan or January, %p: AM or PM, %y: 69 is 1969). zone: "" is UTC. twice: "" or "refuse",
 * "first", "second". ERR_RECORD says which of the three is wrong.
 */
int time_format_open(struct time_format *ret, const char *format, const char *zone, const char *twice, struct err *err);
void time_format_release(struct time_format *format);

/* ns since 1970. ERR_RECORD where the text is no such time, or none that an int64 holds (1677 to 2262). */
int time_text_parse(const struct time_format *format, struct str text, int64_t *ret_ns, struct err *err);
