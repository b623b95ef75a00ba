#pragma once
/*
 * TimescaleDB's jobs, where the database has it: a thread with a connection of
 * its own runs those that the extension's scheduler did not run in time, or
 * that failed there, refreshes the months that late bars touched, and keeps
 * the figures of /metrics. Nothing of it runs while standing by.
 */
#include "common/config.h"
#include "common/err.h"

struct timescale;

/* Starts the thread; it does nothing before timescale_lead(). */
int timescale_open(struct timescale **ret, const struct config *cfg, struct err *err);

/* Ends the statement that runs. */
void timescale_freep(struct timescale **timescale);

void timescale_lead(struct timescale *timescale, bool leading);
