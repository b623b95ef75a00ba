#include "common/http_client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/version.h"

#define BUFFER_BYTES (2u * 1024u * 1024u) /* of one transfer's body */
#define HEADERS_MAX (64u * 1024u)
#define CONNECT_MS 15000L
#define DEFAULT_STALL_S 100u

/* What the reader's thread asks the other one to do. */
enum order { ORDER_START = 1, ORDER_RESUME = 2, ORDER_FREE = 4 };

struct http_transfer {
	struct http_client *client;
	struct http_transfer *next; /* of those with orders; under the client's lock */
	unsigned orders;            /* under the client's lock */
	bool queued;                /* under the client's lock */
	CURL *easy;                 /* the client's thread's once started */
	struct curl_slist *sent_headers;
	bool added; /* to the multi handle */
	char failure[CURL_ERROR_SIZE];

	pthread_mutex_t lock; /* of what follows */
	enum http_state state;
	long status;
	bool headers_complete, paused;
	struct buf headers; /* lines as they came, of the last response */
	uint8_t *body;      /* a ring */
	size_t first, len;
};

struct http_client {
	uv_thread_t thread;
	uv_loop_t loop;
	uv_async_t ordered;
	uv_timer_t timer;
	CURLM *multi;
	http_wake_fn *wake;
	void *self;
	pthread_mutex_t lock;
	struct http_transfer *orders;
	bool stopping; /* under the lock */
};

/* --- headers and body, on the client's thread ------------------------------------------------------------------------ */

static size_t on_header(char *data, size_t size, size_t n, void *opaque)
{
	struct http_transfer *t = opaque;
	size_t bytes = size * n;

	pthread_mutex_lock(&t->lock);
	if (bytes >= 5 && memcmp(data, "HTTP/", 5) == 0) /* what came before was a 100 or the like */
		buf_reset(&t->headers);
	buf_put(&t->headers, data, bytes);
	pthread_mutex_unlock(&t->lock);
	return bytes;
}

/* Where the first byte comes, or the end, the headers are complete. */
static bool complete_headers(struct http_transfer *t)
{
	if (t->headers_complete)
		return false;
	t->headers_complete = true;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
	return true;
}

static void put_ring(struct http_transfer *t, const char *data, size_t n)
{
	size_t at = (t->first + t->len) % BUFFER_BYTES, before_end = BUFFER_BYTES - at;
	size_t head = n < before_end ? n : before_end;

	memcpy(t->body + at, data, head);
	memcpy(t->body, data + head, n - head);
	t->len += n;
}

static size_t on_body(char *data, size_t size, size_t n, void *opaque)
{
	struct http_transfer *t = opaque;
	size_t bytes = size * n;
	bool news, full;

	pthread_mutex_lock(&t->lock);
	news = complete_headers(t) || t->len == 0;
	full = bytes > BUFFER_BYTES - t->len;
	t->paused = full;
	if (!full)
		put_ring(t, data, bytes);
	pthread_mutex_unlock(&t->lock);
	if (full)
		return bytes > BUFFER_BYTES ? 0 : CURL_WRITEFUNC_PAUSE;
	if (news)
		t->client->wake(t->client->self);
	return bytes;
}

static void end(struct http_transfer *t, CURLcode code)
{
	pthread_mutex_lock(&t->lock);
	complete_headers(t);
	t->state = code == CURLE_OK ? HTTP_ENDED : HTTP_FAILED;
	if (code != CURLE_OK && !t->failure[0])
		snprintf(t->failure, sizeof(t->failure), "%s", curl_easy_strerror(code));
	pthread_mutex_unlock(&t->lock);
	t->client->wake(t->client->self);
}

/* --- curl on libuv ----------------------------------------------------------------------------------------------------- */

static void take_ends(struct http_client *client)
{
	struct http_transfer *t;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
		curl_multi_remove_handle(client->multi, t->easy);
		t->added = false;
		end(t, code);
	}
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct http_client *client = poll->loop->data;
	int running,
		what = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)poll, &fd) == 0)
		curl_multi_socket_action(client->multi, fd, status < 0 ? CURL_CSELECT_ERR : what, &running);
	take_ends(client);
}

static void on_timer(uv_timer_t *timer)
{
	struct http_client *client = timer->loop->data;
	int running;

	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_ends(client);
}

static int set_timer(CURLM *multi, long ms, void *opaque)
{
	struct http_client *client = opaque;

	(void)multi;
	if (ms < 0)
		uv_timer_stop(&client->timer);
	else
		uv_timer_start(&client->timer, on_timer, (uint64_t)ms, 0);
	return 0;
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *opaque, void *watched)
{
	struct http_client *client = opaque;
	uv_poll_t *poll = watched;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (poll) {
			uv_poll_stop(poll);
			uv_close((uv_handle_t *)poll, free_handle);
		}
		curl_multi_assign(client->multi, fd, NULL);
		return 0;
	}
	if (!poll) {
		poll = mem_zalloc(1, sizeof(*poll));
		if (uv_poll_init_socket(&client->loop, poll, fd)) {
			free(poll);
			return -1;
		}
		curl_multi_assign(client->multi, fd, poll);
	}
	uv_poll_start(poll, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
		      on_socket);
	return 0;
}

/* --- orders ------------------------------------------------------------------------------------------------------------ */

static void order(struct http_transfer *t, enum order what)
{
	struct http_client *client = t->client;

	pthread_mutex_lock(&client->lock);
	t->orders |= what;
	if (!t->queued) {
		t->queued = true;
		t->next = client->orders;
		client->orders = t;
	}
	pthread_mutex_unlock(&client->lock);
	uv_async_send(&client->ordered);
}

static void free_transfer(struct http_transfer *t)
{
	if (t->added)
		curl_multi_remove_handle(t->client->multi, t->easy);
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->sent_headers);
	buf_release(&t->headers);
	free(t->body);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void start(struct http_transfer *t)
{
	CURLMcode code = curl_multi_add_handle(t->client->multi, t->easy);

	t->added = code == CURLM_OK;
	if (!t->added)
		end(t, CURLE_FAILED_INIT);
}

static void follow(struct http_transfer *t, unsigned orders)
{
	if (orders & ORDER_FREE) {
		free_transfer(t);
		return;
	}
	if (orders & ORDER_START)
		start(t);
	if (orders & ORDER_RESUME && t->added)
		curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

static void close_handle(uv_handle_t *handle, void *opaque)
{
	(void)opaque;
	if (!uv_is_closing(handle))
		uv_close(handle, handle->type == UV_POLL ? free_handle : NULL);
}

static void on_orders(uv_async_t *async)
{
	struct http_client *client = async->loop->data;
	struct http_transfer *t, *next;
	bool stopping;

	pthread_mutex_lock(&client->lock);
	t = client->orders;
	client->orders = NULL;
	stopping = client->stopping;
	pthread_mutex_unlock(&client->lock);
	for (; t; t = next) {
		unsigned orders;

		pthread_mutex_lock(&client->lock);
		next = t->next;
		orders = t->orders;
		t->orders = 0;
		t->queued = false;
		pthread_mutex_unlock(&client->lock);
		follow(t, orders);
	}
	if (!stopping)
		return;
	curl_multi_cleanup(client->multi); /* its connections' sockets go here */
	uv_walk(&client->loop, close_handle, NULL);
}

/* --- the client -------------------------------------------------------------------------------------------------------- */

static void run(void *opaque)
{
	struct http_client *client = opaque;

	uv_run(&client->loop, UV_RUN_DEFAULT);
}

static int set_up(struct http_client *client, struct err *err)
{
	client->loop.data = client;
	client->multi = curl_multi_init();
	if (!client->multi)
		return err_set(err, ERR_FATAL, "http: curl cannot be set up");
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	if (uv_async_init(&client->loop, &client->ordered, on_orders) || uv_timer_init(&client->loop, &client->timer))
		return err_set(err, ERR_FATAL, "http: libuv cannot be set up");
	if (uv_thread_create(&client->thread, run, client))
		return err_set(err, ERR_RETRY, "http: no thread can be started");
	return 0;
}

int http_client_start(struct http_client **ret, http_wake_fn *wake, void *self, struct err *err)
{
	struct http_client *client;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return err_set(err, ERR_FATAL, "http: curl cannot be set up");
	client = mem_zalloc(1, sizeof(*client));
	client->wake = wake;
	client->self = self;
	pthread_mutex_init(&client->lock, NULL);
	if (uv_loop_init(&client->loop)) {
		free(client);
		return err_set(err, ERR_FATAL, "http: libuv cannot be set up");
	}
	if (set_up(client, err)) /* the process ends: nothing of it is taken apart */
		return -1;
	*ret = client;
	return 0;
}

void http_client_freep(struct http_client **pointer)
{
	struct http_client *client = *pointer;

	*pointer = NULL;
	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	client->stopping = true;
	pthread_mutex_unlock(&client->lock);
	uv_async_send(&client->ordered);
	uv_thread_join(&client->thread);
	uv_loop_close(&client->loop);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

/* --- transfers, on the reader's thread ----------------------------------------------------------------------------------- */

static void set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

static void set_call(struct http_transfer *t, const struct http_call *call)
{
	CURL *easy = t->easy;
	char range[32];

	curl_easy_setopt(easy, CURLOPT_URL, call->url);
	if (call->form)
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, call->form);
	if (call->user) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, call->user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, "");
	}
	if (call->ca_file && call->ca_file[0])
		curl_easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
	if (call->range_from > 0) {
		snprintf(range, sizeof(range), "%lld-", (long long)call->range_from);
		curl_easy_setopt(easy, CURLOPT_RANGE, range);
	}
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)(call->stall_s ? call->stall_s : DEFAULT_STALL_S));
}

static void set_always(struct http_transfer *t)
{
	CURL *easy = t->easy;

	set_protocols(easy);
	t->sent_headers = curl_slist_append(NULL, "Accept: application/json");
	t->sent_headers = curl_slist_append(t->sent_headers, "Expect:");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->sent_headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "penstock/" PENSTOCK_VERSION);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->failure);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
}

struct http_transfer *http_start(struct http_client *client, const struct http_call *call)
{
	struct http_transfer *t = mem_zalloc(1, sizeof(*t));

	t->client = client;
	t->headers = (struct buf)BUF_INIT(HEADERS_MAX);
	t->body = mem_alloc(BUFFER_BYTES);
	pthread_mutex_init(&t->lock, NULL);
	t->easy = curl_easy_init();
	if (!t->easy)
		abort(); /* out of memory, as mem_alloc() has it */
	set_always(t);
	set_call(t, call);
	order(t, ORDER_START);
	return t;
}

void http_transfer_freep(struct http_transfer **transfer)
{
	struct http_transfer *t = *transfer;

	*transfer = NULL;
	if (t)
		order(t, ORDER_FREE);
}

enum http_state http_state(struct http_transfer *t)
{
	enum http_state state;

	pthread_mutex_lock(&t->lock);
	state = t->state;
	pthread_mutex_unlock(&t->lock);
	return state;
}

long http_status(struct http_transfer *t)
{
	long status;

	pthread_mutex_lock(&t->lock);
	status = t->headers_complete ? t->status : 0;
	pthread_mutex_unlock(&t->lock);
	return status;
}

static struct str trim(const char *from, const char *to)
{
	while (from < to && isspace((unsigned char)*from))
		from++;
	while (to > from && isspace((unsigned char)to[-1]))
		to--;
	return (struct str){ from, (uint32_t)(to - from) };
}

/* `line` ends before `end`; its value where the name is this one. */
static bool match_header(const char *line, const char *end, const char *name, struct str *ret)
{
	size_t n = strlen(name);

	if ((size_t)(end - line) <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return false;
	*ret = trim(line + n + 1, end);
	return true;
}

bool http_header(struct http_transfer *t, const char *name, char *text, size_t size)
{
	const char *line, *end;
	struct str value;
	bool found = false;

	pthread_mutex_lock(&t->lock);
	line = (const char *)t->headers.data;
	for (end = line + t->headers.len; line && line < end && !found;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		found = match_header(line, stop, name, &value);
		if (found)
			snprintf(text, size, "%.*s", STR_ARG(value));
		line = stop + 1;
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

size_t http_read(struct http_transfer *t, uint8_t *to, size_t n)
{
	size_t head;
	bool resume;

	pthread_mutex_lock(&t->lock);
	if (n > t->len)
		n = t->len;
	head = n < BUFFER_BYTES - t->first ? n : BUFFER_BYTES - t->first;
	memcpy(to, t->body + t->first, head);
	memcpy(to + head, t->body, n - head);
	t->first = (t->first + n) % BUFFER_BYTES;
	t->len -= n;
	resume = t->paused && t->len <= BUFFER_BYTES / 2;
	if (resume)
		t->paused = false;
	pthread_mutex_unlock(&t->lock);
	if (resume)
		order(t, ORDER_RESUME);
	return n;
}

const char *http_failure(struct http_transfer *t)
{
	return t->failure;
}

/* --- forms --------------------------------------------------------------------------------------------------------------- */

void http_put_field(struct buf *form, const char *name, struct str value)
{
	static const char plain[] = "-._~";

	buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
	for (uint32_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];

		if (isalnum(c) || (c && strchr(plain, c)))
			buf_put_u8(form, c);
		else
			buf_printf(form, "%%%02X", c);
	}
}
