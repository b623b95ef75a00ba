#include "ops/cli/api.h"

#include <curl/curl.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"

#define ANSWER_MAX (64 * 1024 * 1024) /* bytes */
#define TIMEOUT_S 60L

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

/* RFC 9457: what the server says is wrong. */
static int refused(long status, const json_t *answer, struct err *err)
{
	const char *title = json_string_value(json_object_get(answer, "title"));
	const char *detail = json_string_value(json_object_get(answer, "detail"));

	if (status == 401)
		return err_set(err, ERR_FATAL, "the orchestrator does not take this token (api.token): %s",
			       detail ? detail : "refused");
	return err_set(err, status >= 500 ? ERR_RETRY : ERR_RECORD, "%s (HTTP %ld)",
		       detail && detail[0] ? detail
		       : title             ? title
					   : "refused",
		       status);
}

static int perform(CURL *curl, const struct config *cfg, const char *method, const char *url, const char *body,
		   struct buf *answer, struct err *err)
{
	CLEANUP(freep) char *bearer = mem_printf("Authorization: Bearer %s", config_text(cfg, "api.token"));
	CLEANUP(free_listp) struct curl_slist *headers = curl_slist_append(NULL, bearer);
	CURLcode code;

	headers = curl_slist_append(headers, "Content-Type: application/json");
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK)
		return err_set(err, ERR_RETRY, "%s: %s; is the orchestrator up (`make status`)?", url,
			       curl_easy_strerror(code));
	return 0;
}

int api_call(const struct config *cfg, const char *method, const char *path, const char *body, json_t **ret,
	     struct err *err)
{
	CLEANUP(cleanup_curlp) CURL *curl = curl_easy_init();
	CLEANUP(buf_release) struct buf answer = BUF_INIT(ANSWER_MAX);
	CLEANUP(freep) char *url = mem_printf("%s%s", config_text(cfg, "api.url"), path);
	long status = 0;

	if (!curl)
		return err_set(err, ERR_FATAL, "libcurl cannot be started");
	if (perform(curl, cfg, method, url, body, &answer, err))
		return -1;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	*ret = json_loadb((const char *)answer.data, answer.len, 0, NULL);
	if (status >= 400)
		return refused(status, *ret, err);
	if (!*ret && status != 204)
		return err_set(err, ERR_FATAL, "%s: the answer is not JSON", url);
	return 0;
}
