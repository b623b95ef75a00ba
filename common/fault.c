#include "common/fault.h"

#ifdef PENSTOCK_WITH_FAULTS
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACTION_MAX 32

static const char *program = "?";

void fault_open(const char *name)
{
	program = name;
}

static void read_action(const char *path, char what[ACTION_MAX])
{
	FILE *file = fopen(path, "re");

	what[0] = '\0';
	if (!file)
		return;
	if (!fgets(what, ACTION_MAX, file))
		what[0] = '\0';
	fclose(file);
}

static void act(const char *what)
{
	int ms = 0;

	if (strncmp(what, "kill", 4) == 0)
		raise(SIGKILL);
	if (sscanf(what, "stop %d", &ms) == 1) {
		raise(SIGSTOP);
		poll(NULL, 0, ms);
	}
}

/* `kill 4`: the first three that are passed while something like that is armed are let pass. */
static bool is_for_later(const char *what)
{
	static unsigned passed;
	unsigned turn = 0;

	return sscanf(what, "kill %u", &turn) == 1 && ++passed < turn;
}

/* Whoever renames the file has it. */
void fault_point(const char *point)
{
	const char *folder = getenv("PENSTOCK_FAULTS");
	char armed[PATH_MAX], taken[PATH_MAX], what[ACTION_MAX];

	if (!folder)
		return;
	snprintf(armed, sizeof(armed), "%s/%s.%s", folder, program, point);
	if (access(armed, F_OK))
		return;
	snprintf(taken, sizeof(taken), "%s/%s.%s.taken.%d", folder, program, point, (int)getpid());
	read_action(armed, what);
	if (is_for_later(what))
		return;
	if (strstr(what, "always") || rename(armed, taken) == 0)
		act(what);
}

void fault_message(const char *topic, struct str key)
{
	char point[NAME_MAX];

	if (!getenv("PENSTOCK_FAULTS") || memchr(key.data, '/', key.len))
		return;
	snprintf(point, sizeof(point), "message-%s-%.*s", topic, STR_ARG(key));
	fault_point(point);
}

bool fault_defect(const char *name)
{
	const char *on = getenv("PENSTOCK_DEFECT");

	return on && strcmp(on, name) == 0;
}
#endif
