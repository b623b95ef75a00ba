#include "ops/cli/where.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"

static const char *skip_space(const char *at)
{
	while (isspace((unsigned char)*at))
		at++;
	return at;
}

static const char *take_name(const char *at, char **ret)
{
	size_t n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '_')
		n++;
	*ret = n > 0 ? mem_strndup(at, n) : NULL;
	return at + n;
}

/* 'ESH1', with '' for a quote; or a word without blanks. NULL: the quote is not closed. */
static const char *take_value(const char *at, char **ret)
{
	size_t n = 0;
	char *out;

	if (*at != '\'') {
		while (at[n] && !isspace((unsigned char)at[n]))
			n++;
		*ret = mem_strndup(at, n);
		return at + n;
	}
	out = *ret = mem_zalloc(strlen(at), 1);
	for (at++; *at; at++) {
		if (*at == '\'' && at[1] != '\'')
			return at + 1;
		if (*at == '\'')
			at++;
		*out++ = *at;
	}
	return NULL;
}

static int parse_term(struct where *where, const char **at, struct err *err)
{
	struct where_term *term = &where->terms[where->count];
	const char *from = *at;

	if (where->count == WHERE_TERMS_MAX)
		return err_set(err, ERR_RECORD, "more than %d terms", WHERE_TERMS_MAX);
	where->count++;
	*at = skip_space(take_name(*at, &term->name));
	if (!term->name)
		return err_set(err, ERR_RECORD, "a name is missing at '%.40s'", from);
	if (**at != '=')
		return err_set(err, ERR_RECORD, "'=' is missing behind %s; there is no other comparison", term->name);
	from = skip_space(*at + 1);
	*at = take_value(from, &term->value);
	if (!*at)
		return err_set(err, ERR_RECORD, "the quote at %.40s is not closed", from);
	if (!term->value[0] && *from != '\'')
		return err_set(err, ERR_RECORD, "the value of %s is missing", term->name);
	*at = skip_space(*at);
	return 0;
}

static int parse(struct where *where, const char *at, struct err *err)
{
	for (at = skip_space(at);; at = skip_space(at + 3)) {
		if (parse_term(where, &at, err))
			return -1;
		if (!*at)
			return 0;
		if (strncasecmp(at, "and", 3) != 0 || !isspace((unsigned char)at[3]))
			return err_set(err, ERR_RECORD, "'and' is missing at '%.40s'", at);
	}
}

int where_parse(struct where *ret, const char *text, struct err *err)
{
	*ret = (struct where){ .count = 0 };
	if (parse(ret, text, err) == 0)
		return 0;
	where_release(ret);
	return -1;
}

void where_release(struct where *where)
{
	for (unsigned i = 0; i < where->count; i++) {
		free(where->terms[i].name);
		free(where->terms[i].value);
	}
	*where = (struct where){ .count = 0 };
}
