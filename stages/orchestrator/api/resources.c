#include "stages/orchestrator/api/resources.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/embed.h"
#include "common/mem.h"

#define RESOURCES_DIR "stages/orchestrator/api/resources/"
#define SUFFIX ".sql"
#define SQL_MAX (64 * 1024)

/* --- a file's head ------------------------------------------------------------------------------------------------------- */

struct parser {
	struct resource *resource;
	struct str rest;
	unsigned line;
	struct err *err;
};

static int complain(struct parser *p, const char *what, struct str about)
{
	char shown[STR_SHOWN_MAX];

	return err_set(p->err, ERR_FATAL, RESOURCES_DIR "%s" SUFFIX ":%u: %s: %s", p->resource->name, p->line, what,
		       str_show(about, shown));
}

static struct str trimmed(struct str s)
{
	while (s.len > 0 && isspace((unsigned char)s.data[0]))
		s.data++, s.len--;
	while (s.len > 0 && isspace((unsigned char)s.data[s.len - 1]))
		s.len--;
	return s;
}

/* Up to the first of the characters, which is taken, too; all of it where there is none. */
static struct str take_until(struct str *s, char stop)
{
	const char *at = s->len > 0 ? memchr(s->data, stop, s->len) : NULL;
	struct str part = { s->data, at ? (uint32_t)(at - s->data) : s->len };
	uint32_t taken = part.len + (at ? 1 : 0);

	s->data += taken;
	s->len -= taken;
	return part;
}

static char *copy(struct str s)
{
	return mem_strndup(s.data, s.len);
}

static bool is_name(struct str s)
{
	for (uint32_t i = 0; i < s.len; i++)
		if (!islower((unsigned char)s.data[i]) && s.data[i] != '_')
			return false;
	return s.len > 0;
}

static bool choose_type(struct str word, struct resource_parameter *to)
{
	static const struct {
		const char *name;
		enum resource_type type;
	} types[] = {
		{ "text", RESOURCE_TEXT }, { "integer", RESOURCE_INTEGER }, { "date", RESOURCE_DATE },
		{ "time", RESOURCE_TIME }, { "flag", RESOURCE_FLAG },
	};

	for (unsigned i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (str_eq(word, str_of(types[i].name))) {
			to->type = types[i].type;
			return true;
		}
	if (!memchr(word.data, '|', word.len))
		return false;
	to->type = RESOURCE_CHOICE;
	to->choices = copy(word);
	return true;
}

/* "class text", "by day|symbol = day" */
static int add_parameter(struct parser *p, struct str declaration, struct str doc)
{
	struct resource *q = p->resource;
	struct str left = declaration, name = take_until(&left, ' '), type = trimmed(take_until(&left, '='));
	struct str fallback = trimmed(left);
	struct resource_parameter *to = &q->parameters[q->parameter_count % RESOURCE_PARAMETERS_MAX];

	if (type.len > 0 && type.data[type.len - 1] == '!') {
		type.len--;
		to->required = true;
	}
	if (q->parameter_count == RESOURCE_PARAMETERS_MAX)
		return complain(p, "more parameters than there may be", declaration);
	if (!is_name(name) || type.len == 0 || !choose_type(type, to))
		return complain(p, "no parameter and type", declaration);
	to->name = copy(name);
	to->doc = copy(doc);
	to->fallback = fallback.len > 0 ? copy(fallback) : NULL;
	q->parameter_count++;
	return 0;
}

static int set_cursor(struct parser *p, struct str names)
{
	while (names.len > 0) {
		if (p->resource->cursor_count == RESOURCE_CURSOR_MAX)
			return complain(p, "more members of a cursor than there may be", names);
		p->resource->cursor[p->resource->cursor_count++] = copy(trimmed(take_until(&names, ',')));
	}
	return 0;
}

/* Dates alone: their texts are in the order of what they mean. */
static int set_span(struct parser *p, struct str names)
{
	struct resource *q = p->resource;
	struct str parts[2];

	parts[0] = trimmed(take_until(&names, ','));
	parts[1] = trimmed(names);
	for (unsigned part = 0; part < 2; part++)
		for (unsigned i = 0; i < q->parameter_count; i++)
			if (q->parameters[i].type == RESOURCE_DATE &&
			    str_eq(parts[part], str_of(q->parameters[i].name)))
				q->span[part] = i + 1;
	return q->span[0] && q->span[1] ? 0 : complain(p, "no two dates of the parameters above", parts[1]);
}

static int set_limits(struct parser *p, struct str numbers)
{
	CLEANUP(freep) char *text = copy(numbers);
	char *end;

	p->resource->limit = strtoll(text, &end, 10);
	p->resource->limit_max = strtoll(end, &end, 10);
	if (*end || p->resource->limit < 1 || p->resource->limit_max < p->resource->limit)
		return complain(p, "no two sizes of a page", numbers);
	return 0;
}

static int set_text(struct parser *p, char **to, struct str value)
{
	if (*to)
		return complain(p, "said twice", value);
	*to = copy(value);
	return 0;
}

static int take_key(struct parser *p, struct str key, struct str value)
{
	const struct {
		const char *name;
		char **to;
	} texts[] = {
		{ "path", &p->resource->path },       { "list", &p->resource->list },
		{ "missing", &p->resource->missing }, { "role", &p->resource->role },
		{ "stream", &p->resource->stream },
	};

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (str_eq(key, str_of(texts[i].name)))
			return set_text(p, texts[i].to, value);
	if (str_eq(key, STR_LIT("cursor")))
		return set_cursor(p, value);
	if (str_eq(key, STR_LIT("limit")))
		return set_limits(p, value);
	if (str_eq(key, STR_LIT("span")))
		return set_span(p, value);
	return add_parameter(p, key, value);
}

/* The first line is the sentence that describes it; each further one "key: value". */
static int take_line(struct parser *p, struct str line)
{
	struct str left = line, key = trimmed(take_until(&left, ':'));

	if (!p->resource->doc)
		return set_text(p, &p->resource->doc, line);
	if (left.data == line.data + line.len && (line.len == 0 || line.data[line.len - 1] != ':'))
		return complain(p, "no `key: value`", line);
	return take_key(p, key, trimmed(left));
}

static int take_head(struct parser *p)
{
	while (p->rest.len > 2 && memcmp(p->rest.data, "--", 2) == 0) {
		struct str line = take_until(&p->rest, '\n');

		p->line++;
		line.data += 2;
		line.len -= 2;
		line = trimmed(line);
		if (line.len == 0) /* what follows is for who reads the SQL */
			break;
		if (take_line(p, line))
			return -1;
	}
	if (!p->resource->doc || !p->resource->path)
		return complain(p, "no sentence and path", STR_LIT(""));
	return 0;
}

/* --- its SQL ------------------------------------------------------------------------------------------------------------- */

/* 1, 2, … as the database counts parameters; 0: there is none of this name. */
static unsigned number_of(const struct resource *q, struct str name)
{
	static const struct str after = { "after_", 6 };

	for (unsigned i = 0; i < q->parameter_count; i++)
		if (str_eq(name, str_of(q->parameters[i].name)))
			return i + 1;
	if (name.len > after.len && memcmp(name.data, after.data, after.len) == 0) {
		name.data += after.len;
		name.len -= after.len;
		for (unsigned i = 0; i < q->cursor_count; i++)
			if (str_eq(name, str_of(q->cursor[i])))
				return q->parameter_count + i + 1;
		return 0;
	}
	return q->limit > 0 && str_eq(name, STR_LIT("limit")) ? q->parameter_count + q->cursor_count + 1 : 0;
}

/* What else is in braces, such as an array, is left as it is. */
static int take_sql(struct parser *p)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(SQL_MAX);

	while (p->rest.len > 0) {
		struct str before = take_until(&p->rest, '{'), inside = p->rest, name;
		bool brace = before.data + before.len < p->rest.data;

		buf_put(&out, before.data, before.len);
		if (!brace)
			break;
		name = take_until(&inside, '}');
		if (!is_name(name)) {
			buf_put_u8(&out, '{');
			continue;
		}
		if (number_of(p->resource, name) == 0)
			return complain(p, "no such parameter", name);
		buf_printf(&out, "$%u", number_of(p->resource, name));
		p->rest = inside;
	}
	p->resource->sql = mem_strdup(buf_text(&out));
	return 0;
}

static int mark_path(struct parser *p)
{
	struct str path = str_of(p->resource->path);

	for (take_until(&path, '{'); path.len > 0; take_until(&path, '{')) {
		struct str name = take_until(&path, '}');
		unsigned number = number_of(p->resource, name);

		if (number == 0 || number > p->resource->parameter_count)
			return complain(p, "the path has no parameter", name);
		p->resource->parameters[number - 1].in_path = true;
	}
	return 0;
}

int resource_parse(struct resource *ret, const char *name, struct str text, struct err *err)
{
	struct parser p = { .resource = ret, .rest = text, .err = err };

	*ret = (struct resource){ .name = mem_strdup(name) };
	if (take_head(&p) || mark_path(&p) || take_sql(&p)) {
		resource_release(ret);
		return -1;
	}
	if (!ret->role)
		ret->role = mem_strdup("viewer");
	return 0;
}

void resource_release(struct resource *resource)
{
	char *const texts[] = { (char *)resource->name, resource->doc,  resource->path,   resource->list,
				resource->missing,      resource->role, resource->stream, resource->sql };

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		free(texts[i]);
	for (unsigned i = 0; i < resource->cursor_count; i++)
		free(resource->cursor[i]);
	for (unsigned i = 0; i < resource->parameter_count; i++) {
		free(resource->parameters[i].name);
		free(resource->parameters[i].doc);
		free(resource->parameters[i].choices);
		free(resource->parameters[i].fallback);
	}
	*resource = (struct resource){ 0 };
}

/* --- all of them ----------------------------------------------------------------------------------------------------------- */

/* "stages/orchestrator/api/resources/lag.sql" -> "lag", the caller's; NULL for any other file. */
static char *resource_name(const char *path)
{
	size_t len = strlen(path), dir = strlen(RESOURCES_DIR), suffix = strlen(SUFFIX);

	if (len <= dir + suffix || strncmp(path, RESOURCES_DIR, dir) != 0 || strcmp(path + len - suffix, SUFFIX) != 0)
		return NULL;
	return mem_strndup(path + dir, len - dir - suffix);
}

int resources_open(struct resources *resources, struct err *err)
{
	for (const struct embedded *f = embedded_files; f->path; f++) {
		CLEANUP(freep) char *name = resource_name(f->path);
		struct str text = { f->start, (uint32_t)(f->end - f->start) };

		if (!name)
			continue;
		resources->items = mem_realloc(resources->items, resources->count + 1, sizeof(*resources->items));
		if (resource_parse(&resources->items[resources->count], name, text, err))
			return -1;
		resources->count++;
	}
	return 0;
}

void resources_release(struct resources *resources)
{
	for (unsigned i = 0; i < resources->count; i++)
		resource_release(&resources->items[i]);
	free(resources->items);
	*resources = (struct resources)RESOURCES_INIT;
}

/* --- requests -------------------------------------------------------------------------------------------------------------- */

static bool path_matches(const struct resource *q, struct str path, struct resource_match *ret)
{
	struct str wanted = str_of(q->path);

	*ret = (struct resource_match){ .resource = q };
	if (path.len == 0 || path.data[path.len - 1] == '/')
		return false;
	while (wanted.len > 0 && path.len > 0) {
		struct str name = take_until(&wanted, '/'), part = take_until(&path, '/');

		if (name.len > 2 && name.data[0] == '{') {
			if (part.len == 0)
				return false;
			ret->values[number_of(q, (struct str){ name.data + 1, name.len - 2 }) - 1] = part;
		} else if (!str_eq(name, part)) {
			return false;
		}
	}
	return wanted.len == 0 && path.len == 0;
}

const struct resource *resources_find(const struct resources *resources, const char *name)
{
	for (unsigned i = 0; i < resources->count; i++)
		if (strcmp(resources->items[i].name, name) == 0)
			return &resources->items[i];
	return NULL;
}

/* A path without anything in braces is meant by its words. */
bool resources_match(const struct resources *resources, const char *path, struct resource_match *ret)
{
	struct resource_match found = { .resource = NULL };

	for (unsigned i = 0; i < resources->count; i++)
		if (path_matches(&resources->items[i], str_of(path), ret)) {
			found = *ret;
			if (!strchr(found.resource->path, '{'))
				break;
		}
	*ret = found;
	return found.resource;
}

static bool is_choice(const char *choices, struct str word)
{
	struct str left = str_of(choices);

	while (left.len > 0)
		if (str_eq(take_until(&left, '|'), word))
			return true;
	return false;
}

static bool is_integer(struct str text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if (!isdigit((unsigned char)text.data[i]))
			return false;
	return text.len > 0 && (text.len < 19 || (text.len == 19 && memcmp(text.data, "9223372036854775807", 19) <= 0));
}

static bool put_moment(struct str text, bool is_date, struct buf *ret)
{
	char moment[CLOCK_TEXT_MAX];
	int64_t ns;

	if (!clock_parse(text, &ns) || (is_date && text.len != sizeof("2024-01-31") - 1))
		return false;
	if (is_date)
		clock_format_date(clock_day_of(ns), moment);
	else
		clock_format(ns, 6, moment);
	buf_put_text(ret, moment);
	return true;
}

bool resource_value(const struct resource_parameter *parameter, struct str text, struct buf *ret)
{
	bool right = str_is_text(text);

	switch (parameter->type) {
	case RESOURCE_TEXT:
		break;
	case RESOURCE_INTEGER:
		right = is_integer(text);
		break;
	case RESOURCE_FLAG:
		right = str_eq(text, STR_LIT("true")) || str_eq(text, STR_LIT("false"));
		break;
	case RESOURCE_CHOICE:
		right = is_choice(parameter->choices, text);
		break;
	case RESOURCE_DATE:
	case RESOURCE_TIME:
		return put_moment(text, parameter->type == RESOURCE_DATE, ret);
	}
	if (right)
		buf_put(ret, text.data, text.len);
	return right;
}

void resource_type_text(const struct resource_parameter *parameter, struct buf *out)
{
	static const char *const texts[] = {
		[RESOURCE_TEXT] = "a text",
		[RESOURCE_INTEGER] = "a whole number",
		[RESOURCE_DATE] = "a date such as 2024-01-31",
		[RESOURCE_TIME] = "a time of UTC such as 2024-01-31T14:30:00Z",
		[RESOURCE_FLAG] = "true or false",
		[RESOURCE_CHOICE] = "one of ",
	};

	buf_put_text(out, texts[parameter->type]);
	if (parameter->type == RESOURCE_CHOICE)
		buf_put_text(out, parameter->choices);
}
