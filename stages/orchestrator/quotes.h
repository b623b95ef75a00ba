#pragma once
/*
 * From quotes to windows: when all quotes of a run are there, they are held
 * against what may be spent, and the days that are not covered are planned as
 * tasks, or the run fails before anything is bought.
 */
#include <stdbool.h>

#include "common/err.h"
#include "common/str.h"
#include "stages/orchestrator/windows.h"

struct orchestrator;

/* Plans the windows of runs whose quotes have ended; *ret_busy where there were some. */
int quotes_step(struct orchestrator *self, bool *ret_busy, struct err *err);

/* The vendor's data begins and ends somewhere: what lies before is not asked for, what lies behind stays pending. */
int quote_clip(struct window *bounds, const char *available_start, const char *available_end, struct err *err);

/*
 * USD in units of 1e-9. What has more than nine places is rounded up, so that no cap is passed by what was cut off;
 * false where it is no amount.
 */
bool quote_cost(struct str text, int64_t *ret);
