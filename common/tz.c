#include "common/tz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"

#define ZONEINFO "/usr/share/zoneinfo"
#define FILE_MAX_BYTES 65536
#define NAME_MAX_BYTES 64
#define HEADER_UNUSED 15       /* bytes of the header between version and counts */
#define TRANSITIONS_MAX 4096   /* the largest zone has a few hundred */
#define OFFSET_MAX (26 * 3600) /* RFC 8536, 3.2: -25:59:59 to 25:59:59 */
#define HOUR 3600
#define DAY 86400

/* When a POSIX rule changes the clocks in a year. */
struct change {
	enum { CHANGE_JULIAN, CHANGE_DAY, CHANGE_WEEKDAY } form; /* Jn, n, Mm.w.d */
	int day;                                                 /* of the year; of the week for CHANGE_WEEKDAY */
	int month, week;
	int32_t time; /* of the wall clock before the change, seconds after midnight; may be negative */
};

struct rule {
	int32_t standard, summer; /* offsets */
	bool has_summer;
	struct change start, end; /* of summer time */
};

struct tz {
	uint32_t count;
	int64_t *at;      /* UTC instants, ascending */
	int32_t *offsets; /* from at[i] on; offsets[count] holds before at[0] */
	bool has_rule;    /* for after the last transition */
	struct rule rule;
};

/* --- the POSIX rule: "CST6CDT,M3.2.0,M11.1.0" ------------------------------------------------------------------------- */

static bool take(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool take_number(const char **p, int max, int *ret)
{
	int n = 0;
	const char *start = *p;

	for (; **p >= '0' && **p <= '9' && n <= max; (*p)++)
		n = n * 10 + (**p - '0');
	*ret = n;
	return *p > start && n <= max;
}

/* "CST" or "<+0330>": of no interest here. */
static bool take_abbreviation(const char **p)
{
	const char *start = *p;

	if (take(p, '<')) {
		*p += strcspn(*p, ">");
		return take(p, '>');
	}
	while ((**p >= 'A' && **p <= 'Z') || (**p >= 'a' && **p <= 'z'))
		(*p)++;
	return *p - start >= 3;
}

/* [+-]h[h[h]][:mm[:ss]] */
static bool take_time(const char **p, int hours_max, int32_t *ret)
{
	bool negative = **p == '-';
	int h, m = 0, s = 0;

	if (**p == '-' || **p == '+')
		(*p)++;
	if (!take_number(p, hours_max, &h))
		return false;
	if (take(p, ':') && (!take_number(p, 59, &m) || (take(p, ':') && !take_number(p, 59, &s))))
		return false;
	*ret = h * HOUR + m * 60 + s;
	if (negative)
		*ret = -*ret;
	return true;
}

static bool take_change(const char **p, struct change *c)
{
	bool ok;

	if (!take(p, ','))
		return false;
	if (take(p, 'M')) {
		c->form = CHANGE_WEEKDAY;
		ok = take_number(p, 12, &c->month) && c->month >= 1 && take(p, '.') && take_number(p, 5, &c->week) &&
		     c->week >= 1 && take(p, '.') && take_number(p, 6, &c->day);
	} else if (take(p, 'J')) {
		c->form = CHANGE_JULIAN;
		ok = take_number(p, 365, &c->day) && c->day >= 1;
	} else {
		c->form = CHANGE_DAY;
		ok = take_number(p, 365, &c->day);
	}
	c->time = 2 * HOUR;
	return ok && (!take(p, '/') || take_time(p, 167, &c->time));
}

/* Offsets in the text are west of UTC. */
static bool parse_rule(const char *p, struct rule *rule)
{
	if (!take_abbreviation(&p) || !take_time(&p, 25, &rule->standard))
		return false;
	rule->standard = -rule->standard;
	if (*p == '\0')
		return true;
	rule->has_summer = true;
	rule->summer = rule->standard + HOUR;
	if (!take_abbreviation(&p))
		return false;
	if (*p != ',') {
		if (!take_time(&p, 25, &rule->summer))
			return false;
		rule->summer = -rule->summer;
	}
	return take_change(&p, &rule->start) && take_change(&p, &rule->end) && *p == '\0';
}

static int32_t first_of(int32_t year, int month)
{
	return clock_days((struct civil){ year, (uint8_t)month, 1 });
}

/* Days since 1970 on which the change falls. */
static int32_t change_day(const struct change *c, int32_t year)
{
	int32_t january = first_of(year, 1), first, next, day;

	if (c->form == CHANGE_DAY)
		return january + c->day;
	if (c->form == CHANGE_JULIAN) { /* 29 February is not counted */
		bool leap = first_of(year, 3) - january == 60;

		return january + c->day - 1 + (leap && c->day >= 60);
	}
	first = first_of(year, c->month);
	next = c->month == 12 ? first_of(year + 1, 1) : first_of(year, c->month + 1);
	day = first + ((c->day - (first + 4)) % 7 + 7) % 7; /* 1970-01-01, day 0, was a Thursday, 4 */
	day += (c->week - 1) * 7;
	return day >= next ? day - 7 : day; /* week 5: the last */
}

static int32_t rule_offset(const struct rule *rule, int64_t utc)
{
	int64_t start, end;
	int32_t year;

	if (!rule->has_summer)
		return rule->standard;
	year = clock_civil(clock_day_of((utc + rule->standard) * NS_PER_SECOND)).year;
	start = (int64_t)change_day(&rule->start, year) * DAY + rule->start.time - rule->standard;
	end = (int64_t)change_day(&rule->end, year) * DAY + rule->end.time - rule->summer;
	if (start < end ? utc >= start && utc < end : utc >= start || utc < end)
		return rule->summer;
	return rule->standard;
}

/* --- the file --------------------------------------------------------------------------------------------------------- */

struct header {
	uint8_t version;
	uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static bool read_header(struct bytes *in, struct header *h)
{
	const uint8_t *magic = bytes_take(in, 4);

	if (!magic || memcmp(magic, "TZif", 4) != 0)
		return false;
	h->version = bytes_u8(in);
	bytes_take(in, HEADER_UNUSED);
	h->isutcnt = bytes_be32(in);
	h->isstdcnt = bytes_be32(in);
	h->leapcnt = bytes_be32(in);
	h->timecnt = bytes_be32(in);
	h->typecnt = bytes_be32(in);
	h->charcnt = bytes_be32(in);
	return !in->failed && h->timecnt <= TRANSITIONS_MAX && h->typecnt >= 1 && h->typecnt <= 256 &&
	       h->charcnt <= 256 && h->leapcnt <= 256 && h->isutcnt <= 256 && h->isstdcnt <= 256;
}

/* The first data block is for readers with 32-bit times. */
static bool skip_block(struct bytes *in, const struct header *h)
{
	bytes_take(in,
		   (size_t)h->timecnt * 5 + h->typecnt * 6 + h->charcnt + h->leapcnt * 8 + h->isstdcnt + h->isutcnt);
	return !in->failed;
}

static int64_t be64(struct bytes *in)
{
	uint64_t high = bytes_be32(in);

	return (int64_t)(high << 32 | bytes_be32(in));
}

static bool read_types(struct bytes *in, const struct header *h, struct tz *tz, const uint8_t *indexes)
{
	int32_t types[256];

	for (uint32_t i = 0; i < h->typecnt; i++) {
		types[i] = (int32_t)bytes_be32(in);
		bytes_take(in, 2); /* summer time or not, abbreviation */
		if (types[i] < -OFFSET_MAX || types[i] > OFFSET_MAX)
			return false;
	}
	for (uint32_t i = 0; i < h->timecnt; i++) {
		if (indexes[i] >= h->typecnt)
			return false;
		tz->offsets[i] = types[indexes[i]];
	}
	tz->offsets[h->timecnt] = types[0];
	return !in->failed;
}

static bool read_block(struct bytes *in, const struct header *h, struct tz *tz)
{
	const uint8_t *indexes;

	tz->count = h->timecnt;
	tz->at = mem_zalloc(h->timecnt + 1, sizeof(*tz->at));
	tz->offsets = mem_zalloc(h->timecnt + 1, sizeof(*tz->offsets));
	for (uint32_t i = 0; i < h->timecnt; i++) {
		tz->at[i] = be64(in);
		if (i > 0 && tz->at[i] <= tz->at[i - 1])
			return false;
	}
	indexes = bytes_take(in, h->timecnt);
	if (in->failed || !read_types(in, h, tz, indexes))
		return false;
	bytes_take(in, (size_t)h->charcnt + h->leapcnt * 12 + h->isstdcnt + h->isutcnt);
	return !in->failed;
}

/* A line of its own behind the data; empty where the last transition's offset holds for ever. */
static bool read_footer(struct bytes *in, struct tz *tz)
{
	char text[128];
	size_t n = 0;

	if (bytes_u8(in) != '\n')
		return false;
	for (uint8_t c; (c = bytes_u8(in)) != '\n';) {
		if (in->failed || c == 0 || n == sizeof(text) - 1)
			return false;
		text[n++] = (char)c;
	}
	text[n] = '\0';
	tz->has_rule = n > 0;
	return n == 0 || parse_rule(text, &tz->rule);
}

static int parse(struct tz *tz, struct str file, const char *path, struct err *err)
{
	struct bytes in = bytes_of(file.data, file.len);
	struct header h;

	if (!read_header(&in, &h))
		return err_set(err, ERR_FATAL, "%s: not a time zone file", path);
	if (h.version < '2')
		return err_set(err, ERR_FATAL, "%s: version 1 of the format, which lacks 64-bit times", path);
	if (!skip_block(&in, &h) || !read_header(&in, &h) || !read_block(&in, &h, tz) || !read_footer(&in, tz))
		return err_set(err, ERR_FATAL, "%s: damaged near byte %td", path, (const char *)in.pos - file.data);
	if (h.leapcnt)
		return err_set(err, ERR_FATAL, "%s: counts leap seconds", path);
	return 0;
}

static void closep(FILE **file)
{
	if (*file)
		fclose(*file);
}

static int read_file(const char *path, struct buf *out, struct err *err)
{
	CLEANUP(closep) FILE *in = fopen(path, "rb");
	uint8_t *room = buf_room(out, FILE_MAX_BYTES);

	if (!in)
		return err_set(err, ERR_FATAL, "%s: %s (the package tzdata has the time zones)", path, strerror(errno));
	out->len = fread(room, 1, FILE_MAX_BYTES, in);
	if (ferror(in))
		return err_set(err, ERR_FATAL, "%s: %s", path, strerror(errno));
	return 0;
}

/* A zone's name is a path below zoneinfo, never out of it. */
static bool is_name(const char *name)
{
	return *name && strlen(name) <= NAME_MAX_BYTES && *name != '/' && !strstr(name, "..") &&
	       name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/")] == '\0';
}

int tz_open(struct tz **ret, const char *name, struct err *err)
{
	CLEANUP(tz_freep) struct tz *tz = mem_zalloc(1, sizeof(*tz));
	CLEANUP(buf_release) struct buf file = BUF_INIT(FILE_MAX_BYTES);
	CLEANUP(freep) char *path = NULL;
	const char *folder = getenv("TZDIR");

	if (!is_name(name))
		return err_set(err, ERR_FATAL, "'%s' is not the name of a time zone, such as America/Chicago", name);
	path = mem_printf("%s/%s", folder && *folder ? folder : ZONEINFO, name);
	if (read_file(path, &file, err) || parse(tz, buf_str(&file), path, err))
		return err_wrap(err, "time zone %s", name);
	*ret = STEAL(tz);
	return 0;
}

void tz_freep(struct tz **tz)
{
	if (!*tz)
		return;
	free((*tz)->at);
	free((*tz)->offsets);
	free(*tz);
	*tz = NULL;
}

/* --- asking ----------------------------------------------------------------------------------------------------------- */

int32_t tz_offset(const struct tz *tz, int64_t utc)
{
	uint32_t low = 0, high = tz->count;

	if (tz->has_rule && (high == 0 || utc >= tz->at[high - 1]))
		return rule_offset(&tz->rule, utc);
	while (low < high) { /* the number of transitions up to utc */
		uint32_t middle = (low + high) / 2;

		if (tz->at[middle] <= utc)
			low = middle + 1;
		else
			high = middle;
	}
	return tz->offsets[low ? low - 1 : tz->count];
}

/* A pair of clock changes is months apart, so at most one is within two days of any time. */
int64_t tz_utc(const struct tz *tz, int64_t local)
{
	int32_t before = tz_offset(tz, local - 2 * DAY), after = tz_offset(tz, local + 2 * DAY);
	int64_t first = local - before, low, high;

	if (tz_offset(tz, first) == before)
		return first;
	if (tz_offset(tz, local - after) == after)
		return local - after;
	low = local - after; /* skipped: the change is after low and not after high */
	high = first;
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;

		if (tz_offset(tz, middle) == before)
			low = middle;
		else
			high = middle;
	}
	return high;
}
