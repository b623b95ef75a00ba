#include "common/time_text.h"

#include <stdlib.h>
#include <strings.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/number_text.h"

#define FRACTION_DIGITS 9
#define DAY_SECONDS 86400
#define PATTERN_BYTES_MAX 128

/* What a text says. */
struct said {
	uint32_t year, month, day, hour, minute, second, fraction;
	bool has_time, has_offset, afternoon, morning;
	int32_t offset; /* seconds east of UTC */
};

struct cursor {
	const char *p, *end;
};

static bool take_char(struct cursor *c, char wanted)
{
	if (c->p >= c->end || *c->p != wanted)
		return false;
	c->p++;
	return true;
}

static bool take_digits(struct cursor *c, unsigned least, unsigned most, uint32_t *ret)
{
	unsigned n = 0;

	for (*ret = 0; n < most && c->p < c->end && *c->p >= '0' && *c->p <= '9'; n++)
		*ret = *ret * 10 + (uint32_t)(*c->p++ - '0');
	return n >= least;
}

/* Of a second, as ns. Places beyond them must be zeros: nothing is lost unsaid. */
static bool take_fraction(struct cursor *c, uint32_t *ret_ns)
{
	const char *first = c->p;

	*ret_ns = 0;
	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
		if (c->p - first < FRACTION_DIGITS)
			*ret_ns = *ret_ns * 10 + (uint32_t)(*c->p - '0');
		else if (*c->p != '0')
			return false;
	}
	for (long n = c->p - first; n < FRACTION_DIGITS; n++)
		*ret_ns *= 10;
	return c->p > first;
}

/* Z, +01, +0100, +01:00 */
static bool take_offset(struct cursor *c, struct said *said)
{
	uint32_t hours, minutes = 0;
	bool west;

	said->has_offset = true;
	if (take_char(c, 'Z') || take_char(c, 'z'))
		return true;
	west = take_char(c, '-');
	if (!west && !take_char(c, '+'))
		return false;
	if (!take_digits(c, 2, 2, &hours))
		return false;
	if ((take_char(c, ':') || c->p < c->end) && !take_digits(c, 2, 2, &minutes))
		return false;
	said->offset = (int32_t)(hours * 3600 + minutes * 60) * (west ? -1 : 1);
	return hours < 24 && minutes < 60;
}

static bool scan_iso(struct str text, struct said *said)
{
	struct cursor c = { text.data, text.data + text.len };

	if (!take_digits(&c, 4, 4, &said->year) || !take_char(&c, '-') || !take_digits(&c, 2, 2, &said->month) ||
	    !take_char(&c, '-') || !take_digits(&c, 2, 2, &said->day))
		return false;
	if (c.p == c.end)
		return true;
	said->has_time = true;
	if ((!take_char(&c, 'T') && !take_char(&c, ' ')) || !take_digits(&c, 2, 2, &said->hour) ||
	    !take_char(&c, ':') || !take_digits(&c, 2, 2, &said->minute))
		return false;
	if (take_char(&c, ':') &&
	    (!take_digits(&c, 2, 2, &said->second) || (take_char(&c, '.') && !take_fraction(&c, &said->fraction))))
		return false;
	if (c.p < c.end && !take_offset(&c, said))
		return false;
	return c.p == c.end;
}

/* --- patterns ---------------------------------------------------------------------------------------------------------- */

static bool take_year(struct cursor *c, struct said *said)
{
	return take_digits(c, 4, 4, &said->year);
}

static bool take_short_year(struct cursor *c, struct said *said)
{
	if (!take_digits(c, 2, 2, &said->year))
		return false;
	said->year += said->year < 69 ? 2000 : 1900;
	return true;
}

static bool take_month(struct cursor *c, struct said *said)
{
	return take_digits(c, 1, 2, &said->month);
}

static bool take_month_name(struct cursor *c, struct said *said)
{
	static const char *const names[] = { "January", "February", "March",     "April",   "May",      "June",
					     "July",    "August",   "September", "October", "November", "December" };

	for (uint32_t i = 0; i < 12; i++) {
		size_t left = (size_t)(c->end - c->p), n = strlen(names[i]);

		if (left < 3 || strncasecmp(c->p, names[i], 3) != 0)
			continue;
		c->p += left >= n && strncasecmp(c->p, names[i], n) == 0 ? n : 3;
		said->month = i + 1;
		return true;
	}
	return false;
}

static bool take_day(struct cursor *c, struct said *said)
{
	return take_digits(c, 1, 2, &said->day);
}

static bool take_hour(struct cursor *c, struct said *said)
{
	said->has_time = true;
	return take_digits(c, 1, 2, &said->hour);
}

static bool take_hour_of_twelve(struct cursor *c, struct said *said)
{
	return take_hour(c, said) && said->hour >= 1 && said->hour <= 12;
}

static bool take_half(struct cursor *c, struct said *said)
{
	if (c->end - c->p < 2)
		return false;
	said->morning = strncasecmp(c->p, "AM", 2) == 0;
	said->afternoon = strncasecmp(c->p, "PM", 2) == 0;
	c->p += 2;
	return said->morning || said->afternoon;
}

static bool take_minute(struct cursor *c, struct said *said)
{
	return take_digits(c, 1, 2, &said->minute);
}

static bool take_second(struct cursor *c, struct said *said)
{
	return take_digits(c, 1, 2, &said->second);
}

static bool take_part(struct cursor *c, struct said *said)
{
	return take_fraction(c, &said->fraction);
}

static bool take_percent(struct cursor *c, struct said *said)
{
	(void)said;
	return take_char(c, '%');
}

/* `part`: what of a time it says; each may be said once. */
static const struct conversion {
	char letter, part;
	bool (*take)(struct cursor *c, struct said *said);
} conversions[] = {
	{ 'Y', 'Y', take_year },           { 'y', 'Y', take_short_year }, { 'm', 'm', take_month },
	{ 'b', 'm', take_month_name },     { 'd', 'd', take_day },        { 'H', 'H', take_hour },
	{ 'I', 'H', take_hour_of_twelve }, { 'p', 'p', take_half },       { 'M', 'M', take_minute },
	{ 'S', 'S', take_second },         { 'f', 'f', take_part },       { 'z', 'z', take_offset },
	{ '%', '\0', take_percent },
};

static const struct conversion *find_conversion(char letter)
{
	for (unsigned i = 0; i < sizeof(conversions) / sizeof(*conversions); i++)
		if (conversions[i].letter == letter)
			return &conversions[i];
	return NULL;
}

static bool scan_pattern(const char *pattern, struct str text, struct said *said)
{
	struct cursor c = { text.data, text.data + text.len };

	for (; *pattern; pattern++) {
		if (*pattern != '%' ? !take_char(&c, *pattern) : !find_conversion(*++pattern)->take(&c, said))
			return false;
	}
	if ((said->morning || said->afternoon) && said->hour == 12)
		said->hour = 0;
	said->hour += said->afternoon ? 12 : 0;
	return c.p == c.end;
}

static int check_pattern(const char *pattern, struct err *err)
{
	bool said[128] = { false };

	if (strlen(pattern) > PATTERN_BYTES_MAX)
		return err_set(err, ERR_RECORD, "a time's pattern of more than %d bytes", PATTERN_BYTES_MAX);
	for (const char *p = strchr(pattern, '%'); p; p = strchr(p + 2, '%')) {
		const struct conversion *conversion = find_conversion(p[1]);

		if (p[1] == '\0' || !conversion)
			return err_set(
				err, ERR_RECORD,
				"time format '%s': %%%c is not among %%Y %%y %%m %%b %%d %%H %%I %%p %%M %%S %%f %%z %%%%",
				pattern, p[1] > ' ' ? p[1] : ' ');
		if (said[(unsigned)conversion->part])
			return err_set(err, ERR_RECORD, "time format '%s': %%%c says again what another has said",
				       pattern, p[1]);
		said[(unsigned)conversion->part] = conversion->part != '\0';
	}
	if (!said['Y'] || !said['m'] || !said['d'])
		return err_set(err, ERR_RECORD, "time format '%s' lacks %s", pattern,
			       !said['Y']   ? "a year (%Y)"
			       : !said['m'] ? "a month (%m)"
					    : "a day (%d)");
	if (!said['H'] && (said['M'] || said['S'] || said['f'] || said['p'] || said['z']))
		return err_set(err, ERR_RECORD, "time format '%s' lacks an hour (%%H)", pattern);
	return 0;
}

/* --- instants ---------------------------------------------------------------------------------------------------------- */

static int no_such_time(struct str text, const char *why, struct err *err)
{
	char shown[STR_SHOWN_MAX];

	return err_set(err, ERR_RECORD, "time '%s' %s", str_show(text, shown), why);
}

/* Seconds since 1970 of a wall clock's. */
static int to_utc(const struct time_format *format, struct str text, int64_t local, int64_t *ret, struct err *err)
{
	int64_t first = tz_utc(format->zone, local);
	int64_t second = local - tz_offset(format->zone, first + DAY_SECONDS);

	if (tz_local(format->zone, first) != local)
		return no_such_time(text, "was skipped by the clocks of its time zone", err);
	*ret = first;
	if (second <= first || tz_local(format->zone, second) != local)
		return 0;
	if (format->twice == TIME_TWICE_REFUSE)
		return no_such_time(text, "came twice by the clocks of its time zone (time_twice: first or second)",
				    err);
	*ret = format->twice == TIME_TWICE_FIRST ? first : second;
	return 0;
}

static int to_instant(const struct time_format *format, struct str text, const struct said *said, int64_t *ret_ns,
		      struct err *err)
{
	int32_t days;
	int64_t seconds, ns;

	if (said->hour > 23 || said->minute > 59 || said->second > 59 || said->month > 12 || said->day > 31 ||
	    !clock_days_of_yyyymmdd(said->year * 10000 + said->month * 100 + said->day, &days))
		return no_such_time(text, "is in no calendar", err);
	seconds = (int64_t)days * DAY_SECONDS + said->hour * 3600 + said->minute * 60 + said->second - said->offset;
	if (__builtin_mul_overflow(seconds, NS_PER_SECOND, &ns) || __builtin_sub_overflow(ns, NS_PER_DAY, &ns) ||
	    __builtin_add_overflow(ns, 3 * NS_PER_DAY, &ns)) /* a zone's offset fits too */
		return no_such_time(text, "is beyond 64 bits of nanoseconds", err);
	if (format->zone && said->has_time && !said->has_offset && to_utc(format, text, seconds, &seconds, err))
		return -1;
	*ret_ns = seconds * NS_PER_SECOND + said->fraction;
	return 0;
}

static int parse_epoch(const struct time_format *format, struct str text, int64_t *ret_ns, struct err *err)
{
	struct number_text n;

	if (!number_text_scan(text, &n))
		return no_such_time(text, "is not a number", err);
	n.exponent -= format->places;
	if (!number_text_nano(&n, ret_ns))
		return no_such_time(text, "is beyond 64 bits of nanoseconds, or finer", err);
	return 0;
}

int time_text_parse(const struct time_format *format, struct str text, int64_t *ret_ns, struct err *err)
{
	struct said said = { 0 };

	if (format->form == TIME_EPOCH)
		return parse_epoch(format, text, ret_ns, err);
	if (format->form == TIME_ISO ? !scan_iso(text, &said) : !scan_pattern(format->pattern, text, &said))
		return no_such_time(text, "is not written as its format says", err);
	return to_instant(format, text, &said, ret_ns, err);
}

/* --- formats ----------------------------------------------------------------------------------------------------------- */

static bool read_epoch(struct time_format *format, const char *name)
{
	static const char *const units[] = { "s", "ms", "us", "ns" };

	for (int i = 0; i < 4; i++)
		if (strcmp(name, units[i]) == 0) {
			format->form = TIME_EPOCH;
			format->places = 3 * i;
			return true;
		}
	return false;
}

static int read_form(struct time_format *format, const char *name, struct err *err)
{
	if (!name[0] || strcmp(name, "iso") == 0 || read_epoch(format, name))
		return 0;
	if (!strchr(name, '%'))
		return err_set(err, ERR_RECORD,
			       "time format '%s' is none of iso, s, ms, us, ns, and no pattern such as %%Y-%%m-%%d",
			       name);
	format->form = TIME_PATTERN;
	format->pattern = mem_strdup(name);
	return check_pattern(name, err);
}

static int read_twice(struct time_format *format, const char *name, struct err *err)
{
	static const char *const names[] = { "refuse", "first", "second" };

	for (unsigned i = 0; i < 3; i++)
		if (!name[0] || strcmp(name, names[i]) == 0) {
			format->twice = (enum time_twice)i;
			return 0;
		}
	return err_set(err, ERR_RECORD, "time_twice '%s' is none of refuse, first, second", name);
}

int time_format_open(struct time_format *ret, const char *format, const char *zone, const char *twice, struct err *err)
{
	struct time_format opened = TIME_FORMAT_INIT;

	if (read_form(&opened, format, err) || read_twice(&opened, twice, err) ||
	    (zone[0] && strcmp(zone, "UTC") != 0 && tz_open(&opened.zone, zone, err))) {
		err->kind = ERR_RECORD; /* one file's trouble, not the program's */
		time_format_release(&opened);
		return -1;
	}
	*ret = opened;
	return 0;
}

void time_format_release(struct time_format *format)
{
	free(format->pattern);
	tz_freep(&format->zone);
	*format = (struct time_format)TIME_FORMAT_INIT;
}
