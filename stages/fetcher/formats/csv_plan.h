#pragma once
/* Where a plain CSV file's bars have their fields: a task's settings, and the file's header if it has one. */
#include "common/control.h"
#include "common/csv_settings.h"
#include "common/time_text.h"
#include "stages/fetcher/formats/csv.h"

struct csv_plan {
	struct csv_settings settings;
	struct time_format time;
	unsigned columns[CSV_COLUMNS]; /* from 1; 0: none */
	unsigned least;                /* fields that a record has at least */
	unsigned exact;                /* and exactly, by the header; 0: it has none */
};

#define CSV_PLAN_INIT \
	{ \
		.settings = CSV_SETTINGS_INIT, .time = TIME_FORMAT_INIT \
	}
void csv_plan_release(struct csv_plan *plan);

/* Whether the task says that its file is a plain CSV. ERR_RECORD where its parameters are none. */
int csv_plan_wanted(const struct fetch_task *task, bool *ret_wanted, struct err *err);

/* The settings of the task. */
int csv_plan_open(struct csv_plan *plan, const struct fetch_task *task, struct err *err);

/* Where the columns are; the header is the csv's record at hand, NULL: there is none. */
int csv_plan_columns(struct csv_plan *plan, const struct csv *header, struct err *err);
