#include "ops/cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/mem.h"

#define COLUMNS_MAX 32
#define CELL_MAX 4096 /* bytes of a cell that are shown */
#define BOLD "\033[1m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

struct table {
	char *names[COLUMNS_MAX];
	unsigned columns;
	int widths[COLUMNS_MAX];
	bool left[COLUMNS_MAX]; /* has something that is no number */
	char **cells;           /* row by row */
	size_t rows;
	bool began;
};

struct table *table_new(const char *columns)
{
	struct table *table = mem_zalloc(1, sizeof(*table));
	CLEANUP(freep) char *copy = columns ? mem_strdup(columns) : NULL;
	char *left = copy, *name;

	while ((name = strsep(&left, " ")) && table->columns < COLUMNS_MAX)
		table->names[table->columns++] = mem_strdup(name);
	return table;
}

static void drop_rows(struct table *table)
{
	for (size_t i = 0; i < table->rows * table->columns; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->rows = 0;
}

void table_freep(struct table **pointer)
{
	struct table *table = *pointer;

	if (!table)
		return;
	drop_rows(table);
	for (unsigned i = 0; i < table->columns; i++)
		free(table->names[i]);
	free(table);
	*pointer = NULL;
}

/* --- cells ----------------------------------------------------------------------------------------------------------------- */

/* A list of texts as people write it; anything else that is no plain value as JSON. */
static char *joined(const json_t *array)
{
	char *text = mem_strdup("");
	size_t i;
	json_t *item;

	json_array_foreach(array, i, item)
	{
		CLEANUP(freep) char *before = text;
		CLEANUP(freep)
		char *one = json_is_string(item) ? mem_strdup(json_string_value(item))
						 : json_dumps(item, JSON_COMPACT | JSON_ENCODE_ANY);

		text = mem_printf("%s%s%s", before, i > 0 ? ", " : "", one ? one : "");
	}
	return text;
}

static char *text_of(const json_t *value)
{
	if (!value || json_is_null(value))
		return mem_strdup("");
	if (json_is_string(value))
		return mem_strdup(json_string_value(value));
	if (json_is_boolean(value))
		return mem_strdup(json_is_true(value) ? "yes" : "no");
	if (json_is_array(value))
		return joined(value);
	return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* What a terminal would take for an order of its own, or a table for a new line, is none here. */
static char *cell_of(const json_t *value)
{
	char *text = text_of(value);

	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = ' ';
	if (strlen(text) > CELL_MAX)
		text[CELL_MAX] = '\0';
	return text;
}

/* Columns on a terminal: of UTF-8, bytes that begin a character. */
static int width_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void name_columns(struct table *table, const json_t *row)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)row, name, value) if (table->columns < COLUMNS_MAX)
		table->names[table->columns++] = mem_strdup(name);
}

void table_add(struct table *table, const json_t *row)
{
	if (table->columns == 0)
		name_columns(table, row);
	table->cells = mem_realloc(table->cells, (table->rows + 1) * table->columns, sizeof(*table->cells));
	for (unsigned i = 0; i < table->columns; i++) {
		const json_t *value = json_object_get(row, table->names[i]);
		char *cell = cell_of(value);

		if (width_of(cell) > table->widths[i])
			table->widths[i] = width_of(cell);
		table->left[i] = table->left[i] || !(json_is_number(value) || !value || json_is_null(value));
		table->cells[table->rows * table->columns + i] = cell;
	}
	table->rows++;
}

/* --- printing -------------------------------------------------------------------------------------------------------------- */

static bool paged; /* stdout leads to a pager, and that to a terminal */

bool terminal_has_colours(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return (paged || isatty(STDOUT_FILENO)) && !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}

static void put_cell(const struct table *table, unsigned column, const char *text)
{
	int space = table->widths[column] - width_of(text);
	bool last = column + 1 == table->columns;

	if (column > 0)
		fputs("  ", stdout);
	if (!table->left[column])
		printf("%*s", space, "");
	fputs(text, stdout);
	if (table->left[column] && !last)
		printf("%*s", space, "");
}

static bool is_bad(const char *text)
{
	static const char *const words[] = { "failed", "FAILED", "lost", "NO" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

static void put_head(struct table *table, bool colours)
{
	for (unsigned i = 0; i < table->columns; i++)
		if (width_of(table->names[i]) > table->widths[i])
			table->widths[i] = width_of(table->names[i]);
	fputs(colours ? BOLD : "", stdout);
	for (unsigned i = 0; i < table->columns; i++)
		put_cell(table, i, table->names[i]);
	printf("%s\n", colours ? PLAIN : "");
}

void table_print(struct table *table)
{
	bool colours = terminal_has_colours();

	if (!table->began && table->rows > 0)
		put_head(table, colours);
	table->began = table->began || table->rows > 0;
	for (size_t row = 0; row < table->rows; row++) {
		for (unsigned i = 0; i < table->columns; i++) {
			const char *text = table->cells[row * table->columns + i];
			bool red = colours && is_bad(text);

			fputs(red ? RED : "", stdout);
			put_cell(table, i, text);
			fputs(red ? PLAIN : "", stdout);
		}
		putchar('\n');
	}
	fflush(stdout);
	drop_rows(table);
}

/* --- the pager --------------------------------------------------------------------------------------------------------------- */

static pid_t pager;

static const char *pager_command(void)
{
	const char *own = getenv("PENSTOCK_PAGER"), *common = getenv("PAGER");

	return own ? own : common ? common : "if command -v less >/dev/null 2>&1; then exec less; else exec cat; fi";
}

/* Where there is none, the table goes to the terminal as it is. */
void pager_open(void)
{
	const char *command = pager_command();
	int ends[2];

	if (!isatty(STDOUT_FILENO) || !command[0] || strcmp(command, "cat") == 0 || pipe(ends))
		return;
	fflush(stdout);
	pager = fork();
	if (pager == 0) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[0]);
		close(ends[1]);
		setenv("LESS", "FRX", 0); /* with colours, and no screen of its own for a short table */
		execl("/bin/sh", "sh", "-c", mem_printf("%s || cat", command), (char *)NULL);
		_exit(127);
	}
	if (pager > 0)
		paged = dup2(ends[1], STDOUT_FILENO) >= 0;
	close(ends[0]);
	close(ends[1]);
}

void pager_close(void)
{
	fflush(stdout);
	if (pager <= 0)
		return;
	fclose(stdout);
	waitpid(pager, NULL, 0);
}
