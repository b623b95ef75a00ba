#pragma once
/*
 * How a file of bars as comma-separated values is to be read: what stands
 * under `csv:` in a subscription. The orchestrator reads and checks it, the
 * task carries it, the fetcher reads it again; this is what both agree on.
 */
#include <stdbool.h>

#include "common/err.h"
#include "common/json_out.h"
#include "common/number_text.h"

enum csv_column {
	CSV_TIME,
	CSV_OPEN,
	CSV_HIGH,
	CSV_LOW,
	CSV_CLOSE,
	CSV_VOLUME,
	CSV_SYMBOL,
	CSV_COLUMNS,
};

#define CSV_COLUMN_NUMBER_MAX 512
#define CSV_VALUE_BYTES_MAX 256 /* of one setting */
#define CSV_NONE "none"         /* volume: no column says it */

struct csv_settings {
	bool header;                                /* the first record names the columns */
	char delimiter;                             /* one character; in text also "tab" */
	enum number_kind numbers;                   /* `price_text` */
	char *columns[CSV_COLUMNS];                 /* a name in the header, or a number from 1; NULL: not said */
	char *symbol_constant;                      /* of every record, where no column says it; NULL: not said */
	char *time_format, *time_zone, *time_twice; /* time_text.h's; NULL: not said */
};

#define CSV_SETTINGS_INIT \
	{ \
		.header = true, .delimiter = ',' \
	}
void csv_settings_release(struct csv_settings *settings);

/* One of them from text; ERR_RECORD where there is none of that name, or the value is none for it. */
int csv_settings_set(struct csv_settings *settings, const char *key, const char *value, struct err *err);

/* Whether they are enough, and agree; columns that are not said get their own names. ERR_RECORD names a key. */
int csv_settings_check(struct csv_settings *settings, struct err *err);

/* "time", "open", …: also the key of the setting. */
const char *csv_column_name(enum csv_column column);

/* The column's number from 1; 0: it is a name. */
unsigned csv_column_number(const char *column);

/* One object of texts; csv_settings_set() of each member gives the same settings. */
void csv_settings_json(const struct csv_settings *settings, struct json_out *out);
