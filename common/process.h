#pragma once
/* This process as the kernel sees it, for logs and metrics. */
#include <stdint.h>

/* Bytes, of this program only: what getrusage() says begins with the one that started it. 0 where there is no /proc. */
struct process_memory {
	int64_t resident, peak;
};
struct process_memory process_memory(void);
