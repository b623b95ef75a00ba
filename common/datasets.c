#include "common/datasets.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/yaml_in.h"

#define DAY 86400
#define DATASETS_MAX 4096
#define CLASSES_MAX 32

/* A name's ends tell it apart from all others if it has up to 16 bytes, as vendors' have. */
struct ends {
	uint64_t head, tail;
	uint32_t len;
};

struct place {
	struct ends ends;
	const struct dataset *dataset; /* NULL: nobody's */
};

struct datasets {
	struct yaml_doc *doc; /* texts point into it */
	unsigned count, class_count;
	struct dataset *list; /* in the file's order */
	struct place *places; /* by hash, at most half of them taken */
	uint32_t place_mask;
	const char *classes[CLASSES_MAX];
};

/* --- times of day ----------------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "17:00" or "17:00 -1d"; 24:00 is the end of a day. */
static bool parse_time(const char *text, int32_t *ret)
{
	int32_t hours, minutes;

	if (!is_digit(text[0]) || !is_digit(text[1]) || text[2] != ':' || !is_digit(text[3]) || !is_digit(text[4]))
		return false;
	hours = (text[0] - '0') * 10 + text[1] - '0';
	minutes = (text[3] - '0') * 10 + text[4] - '0';
	if (minutes > 59 || hours * 60 + minutes > 24 * 60)
		return false;
	*ret = (hours * 60 + minutes) * 60;
	if (strcmp(text + 5, " -1d") == 0)
		*ret -= DAY;
	else if (text[5] != '\0')
		return false;
	return true;
}

static int read_start(const struct datasets *all, const struct yaml_node *map, struct dataset *d, struct err *err)
{
	const char *text;

	if (yaml_get_text(all->doc, map, "session_start", "", &text, err))
		return -1;
	if (!parse_time(text, &d->session_start) || d->session_start == DAY)
		return yaml_error(
			all->doc, map, err,
			"session_start of %.*s is a time such as \"00:00\", or \"17:00 -1d\" for the evening before",
			STR_ARG(d->name));
	return 0;
}

static int read_hours(const struct datasets *all, const struct yaml_node *map, struct dataset *d, struct err *err)
{
	const struct yaml_node *list = yaml_get(all->doc, map, "hours");
	const char *opens, *closes;

	if (!list)
		return 0;
	opens = yaml_count(list) == 2 && yaml_kind(list) == YAML_LIST ? yaml_text(yaml_item(all->doc, list, 0)) : NULL;
	closes = opens ? yaml_text(yaml_item(all->doc, list, 1)) : NULL;
	if (!closes || !parse_time(opens, &d->opens) || !parse_time(closes, &d->closes) ||
	    d->opens < d->session_start || d->closes <= d->opens || d->closes > d->session_start + DAY)
		return yaml_error(all->doc, list, err,
				  "hours of %.*s are two times within its session: [\"04:00\", \"20:00\"]",
				  STR_ARG(d->name));
	d->has_hours = true;
	return 0;
}

/* --- the file --------------------------------------------------------------------------------------------------------- */

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

static int read_class(struct datasets *all, const struct yaml_node *map, struct dataset *d, struct err *err)
{
	const char *name;
	int known;

	if (yaml_get_text(all->doc, map, "asset_class", "", &name, err))
		return -1;
	if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")])
		return yaml_error(all->doc, map, err, "asset_class of %.*s is a word in small letters: equities",
				  STR_ARG(d->name));
	known = datasets_class(all, str_of(name));
	if (known < 0 && all->class_count == CLASSES_MAX)
		return yaml_error(all->doc, map, err, "there are more than %d asset classes", CLASSES_MAX);
	if (known < 0) {
		known = (int)all->class_count;
		all->classes[all->class_count++] = name;
	}
	d->asset_class = (uint8_t)known;
	return 0;
}

static int read_dataset(struct datasets *all, const struct yaml_node *map, struct err *err)
{
	static const char *const keys[] = { "name",  "region", "asset_class", "timezone", "session_start",
					    "hours", "mics",   "calendar",    NULL };
	struct dataset *d = &all->list[all->count];
	const char *name;

	if (yaml_check_keys(all->doc, map, keys, err) || yaml_get_text(all->doc, map, "name", "", &name, err) ||
	    yaml_get_text(all->doc, map, "region", "", &d->region, err) ||
	    yaml_get_text(all->doc, map, "timezone", "", &d->timezone, err) ||
	    yaml_get_text(all->doc, map, "calendar", "", &d->calendar, err))
		return -1;
	if (!*name || !*d->region || !*d->timezone)
		return yaml_error(all->doc, map, err, "a dataset needs name, region and timezone");
	d->name = str_of(name);
	if (read_class(all, map, d, err) || read_start(all, map, d, err) || read_hours(all, map, d, err))
		return -1;
	all->count++;
	return check_mics(all, map, err);
}

/* --- by name ---------------------------------------------------------------------------------------------------------- */

static inline struct ends ends_of(struct str name)
{
	struct ends ends = { 0, 0, name.len };

	if (name.len >= sizeof(ends.head)) {
		memcpy(&ends.head, name.data, sizeof(ends.head));
		memcpy(&ends.tail, name.data + name.len - sizeof(ends.tail), sizeof(ends.tail));
	} else {
		for (uint32_t i = 0; i < name.len; i++)
			ends.head = ends.head << 8 | (uint8_t)name.data[i];
	}
	return ends;
}

static inline uint32_t hash_ends(const struct ends *ends)
{
	uint64_t mixed = (ends->head ^ ends->len) * UINT64_C(0x9e3779b97f4a7c15) ^ ends->tail;

	return (uint32_t)(mixed * UINT64_C(0xff51afd7ed558ccd) >> 32);
}

static inline bool is_place_of(const struct place *place, const struct ends *ends, struct str name)
{
	return place->ends.head == ends->head && place->ends.tail == ends->tail && place->ends.len == ends->len &&
	       (name.len <= 2 * sizeof(ends->head) || str_eq(place->dataset->name, name));
}

/* The name's place, or the empty one where it would be. */
static inline struct place *find_place(const struct datasets *all, struct str name, const struct ends *ends)
{
	uint32_t i = hash_ends(ends) & all->place_mask;

	while (all->places[i].dataset && !is_place_of(&all->places[i], ends, name))
		i = (i + 1) & all->place_mask;
	return &all->places[i];
}

static int index_names(struct datasets *all, const struct yaml_node *list, struct err *err)
{
	uint32_t size = 2;

	while (size < 2 * all->count)
		size *= 2;
	all->places = mem_zalloc(size, sizeof(*all->places));
	all->place_mask = size - 1;
	for (unsigned i = 0; i < all->count; i++) {
		struct ends ends = ends_of(all->list[i].name);
		struct place *place = find_place(all, all->list[i].name, &ends);

		if (place->dataset)
			return yaml_error(all->doc, yaml_item(all->doc, list, i), err, "dataset %.*s is listed twice",
					  STR_ARG(all->list[i].name));
		*place = (struct place){ ends, &all->list[i] };
	}
	return 0;
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
	return index_names(all, list, err);
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
	free(all->list);
	free(all->places);
	yaml_freep(&all->doc);
	free(all);
	*pointer = NULL;
}

/* --- asking ----------------------------------------------------------------------------------------------------------- */

unsigned datasets_count(const struct datasets *all)
{
	return all->count;
}

const struct dataset *datasets_at(const struct datasets *all, unsigned index)
{
	return &all->list[index];
}

const struct dataset *datasets_find(const struct datasets *all, struct str name)
{
	struct ends ends = ends_of(name);

	return find_place(all, name, &ends)->dataset;
}

int datasets_class(const struct datasets *all, struct str asset_class)
{
	for (unsigned i = 0; i < all->class_count; i++)
		if (str_eq(asset_class, str_of(all->classes[i])))
			return (int)i;
	return -1;
}

const char *datasets_class_name(const struct datasets *all, unsigned number)
{
	return number < all->class_count ? all->classes[number] : NULL;
}
