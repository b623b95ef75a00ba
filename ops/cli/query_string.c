#include "ops/cli/query_string.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "ops/cli/where.h"

void query_string_release(struct query_string *query)
{
	buf_release(&query->text);
}

void query_string_escape(struct buf *out, const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);

	buf_put_text(out, escaped ? escaped : "");
	curl_free(escaped);
}

void query_string_put(struct query_string *query, const char *name, const char *value)
{
	if (query->text.len > 0)
		buf_put_u8(&query->text, '&');
	for (; *name; name++) /* --up-to is up_to */
		buf_put_u8(&query->text, (uint8_t)(*name == '-' ? '_' : *name));
	buf_put_u8(&query->text, '=');
	query_string_escape(&query->text, value);
}

static bool take_where(struct query_string *query, const char *text)
{
	struct where where;
	struct err err = ERR_INIT;

	if (where_parse(&where, text, &err)) {
		fprintf(stderr, "penstock %s: --where: %s\n", query->command, err.text);
		return false;
	}
	for (unsigned i = 0; i < where.count; i++)
		query_string_put(query, where.terms[i].name, where.terms[i].value);
	where_release(&where);
	return true;
}

bool query_string_take(struct query_string *query, int *argc, char ***argv)
{
	const char *option = **argv, *value = *argc > 1 ? (*argv)[1] : NULL;
	bool flag = strcmp(option, "--new") == 0 || strcmp(option, "--exact") == 0;

	if (strncmp(option, "--", 2) != 0 || !option[2] || (!flag && !value)) {
		fprintf(stderr, "penstock %s: unknown or incomplete argument '%s' (see `penstock help %s`)\n",
			query->command, option, query->command);
		return false;
	}
	if (strcmp(option, "--where") == 0) {
		if (!take_where(query, value))
			return false;
	} else {
		query_string_put(query, option + 2, flag ? "true" : value);
	}
	*argc -= flag ? 1 : 2;
	*argv += flag ? 1 : 2;
	return true;
}
