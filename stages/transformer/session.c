#include "stages/transformer/session.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/tz.h"
#include "common/yaml_in.h"

#define DAY 86400
#define DATASETS_MAX 4096

struct dataset {
	struct str name;
	struct tz *tz;
	int32_t start;          /* of a session after midnight of its date, seconds; negative: the evening before */
	int64_t from_ns, to_ns; /* the session found last */
	int32_t date;
};

struct datasets {
	struct yaml_doc *doc; /* names point into it */
	unsigned count;
	struct dataset *list; /* by name */
};

/* --- reading ---------------------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "17:00" or "17:00 -1d" */
static bool parse_start(const char *text, int32_t *ret)
{
	int32_t hours, minutes;

	if (!is_digit(text[0]) || !is_digit(text[1]) || text[2] != ':' || !is_digit(text[3]) || !is_digit(text[4]))
		return false;
	hours = (text[0] - '0') * 10 + text[1] - '0';
	minutes = (text[3] - '0') * 10 + text[4] - '0';
	if (hours > 23 || minutes > 59)
		return false;
	*ret = (hours * 60 + minutes) * 60;
	if (strcmp(text + 5, " -1d") == 0)
		*ret -= DAY;
	else if (text[5] != '\0')
		return false;
	return true;
}

static int check_mics(const struct datasets *all, const struct yaml_node *map, struct err *err)
{
	const struct yaml_node *list = yaml_get(all->doc, map, "mics");

	if (!list || yaml_kind(list) != YAML_LIST)
		return yaml_error(all->doc, list ? list : map, err, "`mics` is a list of venues: [XNAS]");
	for (unsigned i = 0; i < yaml_count(list); i++) {
		const struct yaml_node *item = yaml_item(all->doc, list, i);
		const char *mic = yaml_text(item);

		if (!mic || strlen(mic) != 4 || mic[strspn(mic, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")])
			return yaml_error(all->doc, item, err, "a MIC is four capitals and digits: XNAS");
	}
	return 0;
}

static int read_dataset(struct datasets *all, const struct yaml_node *map, struct err *err)
{
	static const char *const keys[] = { "name", "region", "timezone", "session_start", "mics", NULL };
	struct dataset *d = &all->list[all->count];
	const char *name, *region, *zone, *start;

	if (yaml_check_keys(all->doc, map, keys, err) || yaml_get_text(all->doc, map, "name", "", &name, err) ||
	    yaml_get_text(all->doc, map, "region", "", &region, err) ||
	    yaml_get_text(all->doc, map, "timezone", "", &zone, err) ||
	    yaml_get_text(all->doc, map, "session_start", "", &start, err) || check_mics(all, map, err))
		return -1;
	if (!*name || !*region || !*zone)
		return yaml_error(all->doc, map, err, "a dataset needs name, region and timezone");
	if (!parse_start(start, &d->start))
		return yaml_error(
			all->doc, map, err,
			"session_start of %s is a time such as \"00:00\", or \"17:00 -1d\" for the evening before",
			name);
	if (tz_open(&d->tz, zone, err))
		return err_wrap(err, "dataset %s", name);
	d->name = str_of(name);
	all->count++;
	return 0;
}

static int compare_names(struct str a, struct str b)
{
	int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_datasets(const void *a, const void *b)
{
	return compare_names(((const struct dataset *)a)->name, ((const struct dataset *)b)->name);
}

static int read_list(struct datasets *all, const struct yaml_node *root, struct err *err)
{
	static const char *const keys[] = { "datasets", NULL };
	const struct yaml_node *list = yaml_get(all->doc, root, "datasets");

	if (yaml_check_keys(all->doc, root, keys, err))
		return -1;
	if (!list || yaml_kind(list) != YAML_LIST || yaml_count(list) > DATASETS_MAX)
		return yaml_error(all->doc, list, err, "`datasets` is a list of at most %d datasets", DATASETS_MAX);
	all->list = mem_zalloc(yaml_count(list) + 1, sizeof(*all->list));
	for (unsigned i = 0; i < yaml_count(list); i++)
		if (read_dataset(all, yaml_item(all->doc, list, i), err))
			return -1;
	qsort(all->list, all->count, sizeof(*all->list), compare_datasets);
	for (unsigned i = 1; i < all->count; i++)
		if (str_eq(all->list[i - 1].name, all->list[i].name))
			return yaml_error(all->doc, list, err, "dataset %.*s is listed twice",
					  STR_ARG(all->list[i].name));
	return 0;
}

int datasets_read(struct datasets **ret, const char *name, struct str yaml, struct err *err)
{
	CLEANUP(datasets_freep) struct datasets *all = mem_zalloc(1, sizeof(*all));

	if (yaml_read(&all->doc, name, yaml, err) || read_list(all, yaml_root(all->doc), err))
		return -1;
	*ret = STEAL(all);
	return 0;
}

void datasets_freep(struct datasets **pointer)
{
	struct datasets *all = *pointer;

	if (!all)
		return;
	for (unsigned i = 0; i < all->count; i++)
		tz_freep(&all->list[i].tz);
	free(all->list);
	yaml_freep(&all->doc);
	free(all);
	*pointer = NULL;
}

/* --- asking ----------------------------------------------------------------------------------------------------------- */

struct dataset *datasets_find(struct datasets *all, struct str name)
{
	unsigned low = 0, high = all->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = compare_names(name, all->list[middle].name);

		if (order == 0)
			return &all->list[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The instant at which the session of that date begins, seconds. */
static int64_t begin(const struct dataset *d, int32_t date)
{
	return tz_utc(d->tz, (int64_t)date * DAY + d->start);
}

/* Nanoseconds of an instant that may be a day beyond what they can tell. */
static int64_t to_ns(int64_t seconds)
{
	int64_t ns;

	if (__builtin_mul_overflow(seconds, NS_PER_SECOND, &ns))
		return seconds < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

static int64_t floor_seconds(int64_t ns)
{
	return ns / NS_PER_SECOND - (ns % NS_PER_SECOND < 0);
}

/* The wall clock gives a date that is off by one at most, where a change of clocks is near. */
static void find_session(struct dataset *d, int64_t ts_ns)
{
	int64_t utc = floor_seconds(ts_ns), day = tz_local(d->tz, utc) - d->start;
	int32_t date = (int32_t)(day / DAY - (day % DAY < 0));

	while (utc < begin(d, date))
		date--;
	while (utc >= begin(d, date + 1))
		date++;
	d->date = date;
	d->from_ns = to_ns(begin(d, date));
	d->to_ns = to_ns(begin(d, date + 1));
}

int32_t dataset_session(struct dataset *d, int64_t ts_ns)
{
	if (ts_ns < d->from_ns || ts_ns >= d->to_ns)
		find_session(d, ts_ns);
	return d->date;
}
