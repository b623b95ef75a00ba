#include "common/process.h"

#include <inttypes.h>
#include <stdio.h>

struct process_memory process_memory(void)
{
	struct process_memory memory = { 0 };
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	int64_t kib;

	while (status && fgets(line, sizeof(line), status)) {
		if (sscanf(line, "VmHWM: %" SCNd64, &kib) == 1)
			memory.peak = kib * 1024;
		else if (sscanf(line, "VmRSS: %" SCNd64, &kib) == 1)
			memory.resident = kib * 1024;
	}
	if (status)
		fclose(status);
	return memory;
}
