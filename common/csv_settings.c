#include "common/csv_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/time_text.h"

static const char *const column_names[CSV_COLUMNS] = {
	[CSV_TIME] = "time",   [CSV_OPEN] = "open",     [CSV_HIGH] = "high",     [CSV_LOW] = "low",
	[CSV_CLOSE] = "close", [CSV_VOLUME] = "volume", [CSV_SYMBOL] = "symbol",
};

#define KEYS \
	"time, open, high, low, close, volume, symbol, symbol_constant, header, delimiter, price_text, time_format, " \
	"time_zone, time_twice"

static const struct {
	const char *name;
	size_t at; /* char * in the settings */
} texts[] = {
	{ "symbol_constant", offsetof(struct csv_settings, symbol_constant) },
	{ "time_format", offsetof(struct csv_settings, time_format) },
	{ "time_zone", offsetof(struct csv_settings, time_zone) },
	{ "time_twice", offsetof(struct csv_settings, time_twice) },
};

#define TEXTS (sizeof(texts) / sizeof(*texts))

void csv_settings_release(struct csv_settings *settings)
{
	for (unsigned i = 0; i < CSV_COLUMNS; i++)
		free(settings->columns[i]);
	free(settings->symbol_constant);
	free(settings->time_format);
	free(settings->time_zone);
	free(settings->time_twice);
	*settings = (struct csv_settings)CSV_SETTINGS_INIT;
}

const char *csv_column_name(enum csv_column column)
{
	return column_names[column];
}

unsigned csv_column_number(const char *column)
{
	uint64_t number = 0;

	return number_text_u64(str_of(column), &number) && number <= CSV_COLUMN_NUMBER_MAX ? (unsigned)number : 0;
}

/* The text that is set by that key; NULL: it is none of the texts. */
static char **find_text(struct csv_settings *settings, const char *key)
{
	for (unsigned i = 0; i < CSV_COLUMNS; i++)
		if (strcmp(key, column_names[i]) == 0)
			return &settings->columns[i];
	for (unsigned i = 0; i < TEXTS; i++)
		if (strcmp(key, texts[i].name) == 0)
			return (char **)((char *)settings + texts[i].at);
	return NULL;
}

static int set_header(struct csv_settings *settings, const char *value, struct err *err)
{
	settings->header = strcmp(value, "true") == 0;
	if (settings->header || strcmp(value, "false") == 0)
		return 0;
	return err_set(err, ERR_RECORD, "header: '%s' is neither true nor false", value);
}

static int set_delimiter(struct csv_settings *settings, const char *value, struct err *err)
{
	settings->delimiter = strcmp(value, "tab") == 0 ? '\t' : value[0];
	if ((strlen(value) == 1 && value[0] > 0 && !strchr("\"\r\n", value[0])) || settings->delimiter == '\t')
		return 0;
	return err_set(err, ERR_RECORD, "delimiter: '%s' is not one character, and not tab", value);
}

static int set_numbers(struct csv_settings *settings, const char *value, struct err *err)
{
	if (number_kind_of(str_of(value), &settings->numbers))
		return 0;
	return err_set(err, ERR_RECORD, "price_text: '%s' is none of " NUMBER_KINDS, value);
}

int csv_settings_set(struct csv_settings *settings, const char *key, const char *value, struct err *err)
{
	char **text = find_text(settings, key);

	if (strlen(value) > CSV_VALUE_BYTES_MAX)
		return err_set(err, ERR_RECORD, "%.64s: more than %d bytes", key, CSV_VALUE_BYTES_MAX);
	if (strcmp(key, "header") == 0)
		return set_header(settings, value, err);
	if (strcmp(key, "delimiter") == 0)
		return set_delimiter(settings, value, err);
	if (strcmp(key, "price_text") == 0)
		return set_numbers(settings, value, err);
	if (!text)
		return err_set(err, ERR_RECORD, "%.64s is not a key of csv; these are: " KEYS, key);
	if (!value[0])
		return err_set(err, ERR_RECORD, "%s: it is empty", key);
	free(*text);
	*text = mem_strdup(value);
	return 0;
}

/* --- checking ---------------------------------------------------------------------------------------------------------- */

static int check_symbol(const struct csv_settings *settings, struct err *err)
{
	if (settings->symbol_constant && settings->columns[CSV_SYMBOL])
		return err_set(err, ERR_RECORD, "symbol and symbol_constant: only one of them can say the symbol");
	if (settings->symbol_constant || settings->columns[CSV_SYMBOL])
		return 0;
	return err_set(err, ERR_RECORD, "symbol (a column) or symbol_constant (a text) is needed");
}

static int check_column(struct csv_settings *settings, enum csv_column column, struct err *err)
{
	char **text = &settings->columns[column];

	if (column == CSV_SYMBOL && !*text)
		return 0;
	if (column == CSV_VOLUME && *text && strcmp(*text, CSV_NONE) == 0)
		return 0;
	if (!*text && settings->header && column != CSV_TIME)
		*text = mem_strdup(column_names[column]);
	if (!*text)
		return err_set(err, ERR_RECORD, "%s is needed: a column, by its %snumber from 1", column_names[column],
			       settings->header ? "name in the header or its " : "");
	if (!settings->header && csv_column_number(*text) == 0)
		return err_set(err, ERR_RECORD,
			       "%s: '%s' is no number from 1 to %d, and without a header no column has a name",
			       column_names[column], *text, CSV_COLUMN_NUMBER_MAX);
	return 0;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static int check_time(const struct csv_settings *settings, struct err *err)
{
	struct time_format format = TIME_FORMAT_INIT;

	if (time_format_open(&format, or_empty(settings->time_format), or_empty(settings->time_zone),
			     or_empty(settings->time_twice), err))
		return -1;
	time_format_release(&format);
	return 0;
}

int csv_settings_check(struct csv_settings *settings, struct err *err)
{
	for (int i = 0; i < CSV_COLUMNS; i++)
		if (check_column(settings, (enum csv_column)i, err))
			return -1;
	return check_symbol(settings, err) || check_time(settings, err) ? -1 : 0;
}

/* --- as JSON ----------------------------------------------------------------------------------------------------------- */

static void put(struct json_out *out, const char *key, const char *value)
{
	if (!value)
		return;
	json_put_key(out, key);
	json_put_str(out, str_of(value));
}

void csv_settings_json(const struct csv_settings *settings, struct json_out *out)
{
	const char delimiter[] = { settings->delimiter, '\0' };

	json_put_open(out, '{');
	put(out, "header", settings->header ? "true" : "false");
	put(out, "delimiter", settings->delimiter == '\t' ? "tab" : delimiter);
	put(out, "price_text", number_kind_name(settings->numbers));
	for (unsigned i = 0; i < CSV_COLUMNS; i++)
		put(out, column_names[i], settings->columns[i]);
	for (unsigned i = 0; i < TEXTS; i++)
		put(out, texts[i].name, *(char *const *)((const char *)settings + texts[i].at));
	json_put_close(out, '}');
}
