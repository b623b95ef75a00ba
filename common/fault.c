#include "common/fault.h"

#ifdef PENSTOCK_WITH_FAULTS
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program = "?";

void fault_open(const char *name)
{
	program = name;
}

/* Whoever renames it has it; false: it was not armed, or somebody else was faster. */
static bool take(const char *point, char taken[PATH_MAX])
{
	const char *folder = getenv("PENSTOCK_FAULTS");
	char armed[PATH_MAX];

	if (!folder)
		return false;
	snprintf(armed, sizeof(armed), "%s/%s.%s", folder, program, point);
	if (access(armed, F_OK))
		return false;
	snprintf(taken, PATH_MAX, "%s/%s.%s.taken.%d", folder, program, point, (int)getpid());
	return rename(armed, taken) == 0;
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

void fault_point(const char *point)
{
	char taken[PATH_MAX], what[32] = "";
	FILE *file;

	if (!take(point, taken))
		return;
	file = fopen(taken, "re");
	if (file && fgets(what, sizeof(what), file)) {
		fclose(file);
		act(what);
	}
}

bool fault_defect(const char *name)
{
	const char *on = getenv("PENSTOCK_DEFECT");

	return on && strcmp(on, name) == 0;
}
#endif
