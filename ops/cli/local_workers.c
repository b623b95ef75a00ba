#include "ops/cli/local_workers.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "ops/cli/cli.h"

#define FILE_MAX ((size_t)1024 * 1024) /* bytes of arguments and environment that are looked at */
#define PREFIX "penstock-"

static bool read_proc(int pid, const char *name, struct buf *ret)
{
	CLEANUP(freep) char *path = mem_printf("/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *room;
	ssize_t n = 0;

	buf_reset(ret);
	if (fd < 0)
		return false;
	while ((room = buf_room(ret, 4096)) && (n = read(fd, room, 4096)) > 0)
		ret->len += (size_t)n;
	close(fd);
	return n == 0;
}

/* The program's name, also where its file was replaced since it started. */
static bool kind_of(int pid, char kind[LOCAL_KIND_MAX])
{
	CLEANUP(freep) char *path = mem_printf("/proc/%d/exe", pid);
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *name;

	if (n <= 0)
		return false;
	target[n] = '\0';
	target[strcspn(target, " ")] = '\0';
	name = strrchr(target, '/');
	if (!name || strncmp(name + 1, PREFIX, strlen(PREFIX)) != 0)
		return false;
	snprintf(kind, LOCAL_KIND_MAX, "%s", name + 1 + strlen(PREFIX));
	for (const char *const *w = cli_workers; *w; w++)
		if (strcmp(*w, kind) == 0 && strcmp(kind, "simulator") != 0)
			return true;
	return false;
}

/* The text behind `name` in a list of texts that end with NUL each: the next one, or what follows in its own. */
static const char *find_text(struct buf *list, const char *name, bool next)
{
	const char *at = buf_text(list), *end = at + list->len;

	for (; at < end; at += strlen(at) + 1) {
		if (next && strcmp(at, name) == 0 && at + strlen(at) + 1 < end)
			return at + strlen(at) + 1;
		if (!next && strncmp(at, name, strlen(name)) == 0)
			return at + strlen(name);
	}
	return NULL;
}

/* As the worker finds it; relative to where that runs. */
static bool reads_config(int pid, const char *config, struct buf *text)
{
	CLEANUP(freep) char *said = NULL;
	CLEANUP(freep) char *path = NULL;
	const char *found;
	char resolved[PATH_MAX];

	if (!read_proc(pid, "cmdline", text))
		return false;
	found = find_text(text, "--config", true);
	if (!found) {
		if (!read_proc(pid, "environ", text))
			return false;
		found = find_text(text, "PENSTOCK_CONFIG=", false);
	}
	said = mem_strdup(found && found[0] ? found : CONFIG_HERE);
	path = said[0] == '/' ? mem_strdup(said) : mem_printf("/proc/%d/cwd/%s", pid, said);
	if (!realpath(path, resolved))
		return !found && realpath(CONFIG_SYSTEM, resolved) && strcmp(resolved, config) == 0;
	return strcmp(resolved, config) == 0;
}

static int64_t kib_of(struct buf *status, const char *name)
{
	const char *line = strstr(buf_text(status), name);

	return line ? strtoll(line + strlen(name), NULL, 10) : -1;
}

static int compare(const void *a, const void *b)
{
	const struct local_worker *x = a, *y = b;
	int by_kind = strcmp(x->kind, y->kind);

	return by_kind ? by_kind : (x->pid > y->pid) - (x->pid < y->pid);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

unsigned local_workers(const char *config, struct local_worker **ret)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(FILE_MAX);
	CLEANUP(closedirp) DIR *proc = opendir("/proc");
	const struct dirent *entry;
	char resolved[PATH_MAX];
	unsigned count = 0;

	*ret = NULL;
	if (!realpath(config, resolved))
		return 0;
	while (proc && (entry = readdir(proc))) {
		struct local_worker worker = { .pid = (int)strtol(entry->d_name, NULL, 10) };

		if (worker.pid <= 0 || !kind_of(worker.pid, worker.kind) ||
		    !reads_config(worker.pid, resolved, &text) || !read_proc(worker.pid, "status", &text))
			continue;
		worker.resident_kib = kib_of(&text, "VmRSS:");
		worker.peak_kib = kib_of(&text, "VmHWM:");
		*ret = mem_realloc(*ret, (size_t)count + 1, sizeof(**ret));
		(*ret)[count++] = worker;
	}
	if (count > 0)
		qsort(*ret, count, sizeof(**ret), compare);
	return count;
}
