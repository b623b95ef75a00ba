#include "ops/simulator/vendor/request.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"

void request_add(struct request *request, const char *name, const char *value)
{
	if (request->parameter_count == REQUEST_PARAMETERS_MAX)
		return;
	request->parameters[request->parameter_count++] =
		(struct request_parameter){ mem_strdup(name), mem_strdup(value ? value : "") };
}

static void unescape(char *text)
{
	for (char *c = text; *c; c++)
		if (*c == '+')
			*c = ' ';
	MHD_http_unescape(text);
}

void request_parse_form(struct request *request)
{
	char *text = mem_strndup((const char *)request->body.data, request->body.len), *rest = text, *pair;

	while ((pair = strsep(&rest, "&"))) {
		char *value = strchr(pair, '=');

		if (!value)
			continue;
		*value++ = '\0';
		unescape(pair);
		unescape(value);
		request_add(request, pair, value);
	}
	free(text);
}

void request_release(struct request *request)
{
	buf_release(&request->body);
	for (uint32_t i = 0; i < request->parameter_count; i++) {
		free(request->parameters[i].name);
		free(request->parameters[i].value);
	}
	request->parameter_count = 0;
}

const char *request_text(const struct request *request, const char *name)
{
	for (uint32_t i = 0; i < request->parameter_count; i++)
		if (strcmp(request->parameters[i].name, name) == 0 && *request->parameters[i].value)
			return request->parameters[i].value;
	return NULL;
}

bool request_flag(const struct request *request, const char *name, bool fallback)
{
	const char *text = request_text(request, name);

	return text ? strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0 : fallback;
}

bool request_number(const struct request *request, const char *name, uint64_t *ret)
{
	const char *text = request_text(request, name);
	char *end;

	*ret = 0;
	if (!text)
		return true;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

bool request_key_is_valid(const char *key)
{
	return key && strlen(key) == API_KEY_LENGTH && strncmp(key, "db-", 3) == 0;
}
