#include "common/http_json.h"

#include <curl/curl.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/mem.h"

#define ANSWER_MAX (64 * 1024 * 1024) /* bytes */
#define SECONDS 60L

static void cleanup_curlp(CURL **curl)
{
	if (*curl)
		curl_easy_cleanup(*curl);
}

static void free_listp(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static size_t on_data(char *data, size_t size, size_t count, void *self)
{
	struct buf *answer = self;

	buf_put(answer, data, size * count);
	return answer->overflow ? 0 : size * count;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *name, const char *value)
{
	CLEANUP(freep) char *line = mem_printf("%s: %s", name, value);

	return curl_slist_append(headers, line);
}

static struct curl_slist *make_headers(const struct http_json_call *call)
{
	CLEANUP(freep) char *bearer = call->bearer ? mem_printf("Bearer %s", call->bearer) : NULL;
	struct curl_slist *headers =
		add_header(NULL, "Content-Type", call->content_type ? call->content_type : "application/json");

	return bearer ? add_header(headers, "Authorization", bearer) : headers;
}

static void set_options(CURL *curl, const struct http_json_call *call, struct curl_slist *headers, struct buf *answer)
{
	curl_easy_setopt(curl, CURLOPT_URL, call->url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, call->seconds ? call->seconds : SECONDS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (call->body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body);
	if (call->user && call->user[0]) {
		curl_easy_setopt(curl, CURLOPT_USERNAME, call->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, call->password ? call->password : "");
	}
	if (call->ca_file && call->ca_file[0])
		curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
}

static int perform(const struct http_json_call *call, struct buf *answer, long *ret_status, struct err *err)
{
	CLEANUP(cleanup_curlp) CURL *curl = curl_easy_init();
	CLEANUP(free_listp) struct curl_slist *headers = make_headers(call);
	CURLcode code;

	if (!curl)
		return err_set(err, ERR_FATAL, "libcurl cannot be started");
	set_options(curl, call, headers, answer);
	code = curl_easy_perform(curl);
	if (answer->overflow)
		return err_set(err, ERR_RETRY, "%s: an answer of more than %zu bytes", call->url, answer->max);
	if (code != CURLE_OK)
		return err_set(err, ERR_RETRY, "%s: %s", call->url, curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	return 0;
}

int http_text(const struct http_json_call *call, long *ret_status, char **ret, struct err *err)
{
	CLEANUP(buf_release) struct buf answer = BUF_INIT(call->answer_max ? call->answer_max : ANSWER_MAX);

	*ret = NULL;
	if (perform(call, &answer, ret_status, err))
		return -1;
	*ret = mem_strndup((const char *)answer.data, answer.len);
	return 0;
}

int http_json(const struct http_json_call *call, long *ret_status, json_t **ret, struct err *err)
{
	CLEANUP(buf_release) struct buf answer = BUF_INIT(call->answer_max ? call->answer_max : ANSWER_MAX);

	*ret = NULL;
	if (perform(call, &answer, ret_status, err))
		return -1;
	*ret = json_loadb((const char *)answer.data, answer.len, 0, NULL);
	return 0;
}
