#include "stages/validator/rule_files.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/mem.h"
#include "common/yaml_in.h"

#define BUILT_IN "stages/validator/rules/%s.yaml"
#define SUFFIX ".yaml"

static int read_as(struct ruleset **ret, const char *path, const struct record_type *type, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(0);

	return yaml_read_text(&text, path, err) ? -1 : ruleset_compile(ret, path, buf_str(&text), type, err);
}

static bool is_own(const char *folder, const char *path)
{
	return *folder && access(path, F_OK) == 0;
}

char *rule_file_place(const char *folder, const struct data_type *type)
{
	CLEANUP(freep) char *own = mem_printf("%s/%s" SUFFIX, folder, type->name);

	return is_own(folder, own) ? STEAL(own) : mem_strdup("built in");
}

int rule_file_open(struct ruleset **ret, const char *folder, const struct data_type *type, struct err *err)
{
	CLEANUP(freep) char *own = mem_printf("%s/%s" SUFFIX, folder, type->name);
	CLEANUP(freep) char *built_in = mem_printf(BUILT_IN, type->name);

	if (is_own(folder, own))
		return read_as(ret, own, type->raw, err);
	return ruleset_compile(ret, built_in, embed_find(built_in), type->raw, err);
}

static const struct data_type *find_type(const char *name, size_t length)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (strlen(data_types[id].name) == length && memcmp(data_types[id].name, name, length) == 0)
			return &data_types[id];
	return NULL;
}

/* "ohlcv, trades, …" */
static void put_types(struct buf *out)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		buf_printf(out, "%s%s", id ? ", " : "", data_types[id].name);
}

int rule_file_read(struct ruleset **ret, const char *path, const struct record_type **ret_type, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(0);
	CLEANUP(buf_release) struct buf types = BUF_INIT(1024);
	CLEANUP(yaml_freep) struct yaml_doc *doc = NULL;
	const struct data_type *type;
	const char *record;

	if (yaml_read_text(&text, path, err) || yaml_read(&doc, path, buf_str(&text), err) ||
	    yaml_get_text(doc, yaml_root(doc), "record", "", &record, err))
		return -1;
	type = find_type(record, strlen(record));
	put_types(&types);
	if (!type)
		return yaml_error(doc, yaml_get(doc, yaml_root(doc), "record"), err,
				  "no record type is called '%s' (there are: %s)", record, buf_text(&types));
	*ret_type = type->raw;
	return ruleset_compile(ret, path, buf_str(&text), type->raw, err);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* A file that is called wrongly would never be read. */
int rule_files_check_names(const char *folder, struct err *err)
{
	CLEANUP(closedirp) DIR *dir = *folder ? opendir(folder) : NULL;
	CLEANUP(buf_release) struct buf types = BUF_INIT(1024);
	const struct dirent *entry;

	if (!*folder)
		return 0;
	put_types(&types);
	if (!dir)
		return err_set(err, ERR_FATAL, "rules.folder %s: %s", folder, strerror(errno));
	while ((entry = readdir(dir))) {
		size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);

		if (length <= suffix || strcmp(entry->d_name + length - suffix, SUFFIX) != 0)
			continue;
		if (!find_type(entry->d_name, length - suffix))
			return err_set(err, ERR_FATAL, "%s: no record type is called '%s' (there are: %s)", folder,
				       entry->d_name, buf_text(&types));
	}
	return 0;
}

int rule_files_check(const char *folder, struct err *err)
{
	if (rule_files_check_names(folder, err))
		return -1;
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		CLEANUP(ruleset_freep) struct ruleset *set = NULL;

		if (rule_file_open(&set, folder, &data_types[id], err))
			return -1;
	}
	return 0;
}
