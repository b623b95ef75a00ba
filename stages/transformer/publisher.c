#include "stages/transformer/publisher.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/yaml_in.h"

#define ID_MAX 65535 /* two bytes on the wire */
#define VENUE_MAX 8  /* bytes */

struct publishers {
	struct yaml_doc *doc; /* venues point into it */
	uint32_t count;       /* of venues: the highest id and one */
	struct str *venues;
};

/* 1 to ID_MAX, 0 where the text is no such number. */
static uint32_t parse_id(const char *text)
{
	uint32_t id = 0;

	if (strlen(text) > 5)
		return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		id = id * 10 + (uint32_t)(*text - '0');
	}
	return id <= ID_MAX ? id : 0;
}

static int read_publisher(struct publishers *all, const struct yaml_node *map, struct err *err)
{
	static const char *const keys[] = { "id", "venue", "dataset", NULL };
	const char *id_text, *venue, *dataset;
	uint32_t id;

	if (yaml_check_keys(all->doc, map, keys, err) || yaml_get_text(all->doc, map, "id", "", &id_text, err) ||
	    yaml_get_text(all->doc, map, "venue", "", &venue, err) ||
	    yaml_get_text(all->doc, map, "dataset", "", &dataset, err))
		return -1;
	id = parse_id(id_text);
	if (id == 0)
		return yaml_error(all->doc, map, err, "id is a number from 1 to %d, not '%s'", ID_MAX, id_text);
	if (!*venue || strlen(venue) > VENUE_MAX || !*dataset)
		return yaml_error(all->doc, map, err,
				  "publisher %u needs a dataset and a venue of at most %d characters", id, VENUE_MAX);
	if (all->venues[id].len)
		return yaml_error(all->doc, map, err, "publisher %u is listed twice", id);
	all->venues[id] = str_of(venue);
	if (id >= all->count)
		all->count = id + 1;
	return 0;
}

static int read_list(struct publishers *all, const struct yaml_node *root, struct err *err)
{
	static const char *const keys[] = { "publishers", NULL };
	const struct yaml_node *list = yaml_get(all->doc, root, "publishers");

	if (yaml_check_keys(all->doc, root, keys, err))
		return -1;
	if (!list || yaml_kind(list) != YAML_LIST)
		return yaml_error(all->doc, list, err, "`publishers` is a list");
	for (unsigned i = 0; i < yaml_count(list); i++)
		if (read_publisher(all, yaml_item(all->doc, list, i), err))
			return -1;
	return 0;
}

int publishers_read(struct publishers **ret, const char *name, struct str yaml, struct err *err)
{
	CLEANUP(publishers_freep) struct publishers *all = mem_zalloc(1, sizeof(*all));

	all->venues = mem_zalloc(ID_MAX + 1, sizeof(*all->venues));
	if (yaml_read(&all->doc, name, yaml, err) || read_list(all, yaml_root(all->doc), err))
		return -1;
	*ret = STEAL(all);
	return 0;
}

void publishers_freep(struct publishers **all)
{
	if (!*all)
		return;
	free((*all)->venues);
	yaml_freep(&(*all)->doc);
	free(*all);
	*all = NULL;
}

struct str publishers_venue(const struct publishers *all, int32_t id)
{
	if (id < 0 || (uint32_t)id >= all->count)
		return (struct str){ "", 0 };
	return all->venues[id];
}
