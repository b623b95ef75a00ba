/* Transfers on the client's thread, read from this one; `make units SANITIZE=thread` looks for races in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/wakeup.h"

#define BIG_BYTES (9u * 1024 * 1024) /* several times what a transfer buffers */
#define WAIT_MS 20000

static struct http_server *server;
static struct http_client *client;
static struct wakeup woken;
static char base[64];

static uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 2654435761u >> 13);
}

static void put_big(struct buf *body)
{
	for (size_t i = 0; i < BIG_BYTES; i++)
		buf_put_u8(body, byte_at(i));
}

static void serve(void *self, const struct http_request *request, struct http_response *response)
{
	const char *authorization = http_request_header(request, "Authorization");

	(void)self;
	response->status = strcmp(request->path, "/refused") == 0 ? 429 : 200;
	response->content_type = "text/plain";
	if (strcmp(request->path, "/big") == 0)
		put_big(&response->body);
	else
		buf_printf(&response->body, "%s %s %.*s %s", request->method, authorization ? authorization : "-",
			   STR_ARG(request->body), http_argument(request, "q") ? http_argument(request, "q") : "-");
}

static void wake(void *self)
{
	wakeup_wake(self);
}

static int setup(void **state)
{
	static const struct config_key *const shared[] = { config_common_keys, NULL };
	static const struct config_spec spec = { .binary = "fetcher", .shared = shared };
	static struct config *cfg;
	struct err err = ERR_INIT;

	(void)state;
	wakeup_init(&woken);
	if (config_open(&cfg, &spec, NULL, &err) || http_server_open(&server, cfg, 2, serve, NULL, &err) ||
	    http_client_start(&client, wake, &woken, &err))
		return fprintf(stderr, "%s\n", err.text), -1;
	config_freep(&cfg);
	snprintf(base, sizeof(base), "http://127.0.0.1:%d", http_server_port(server));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_client_freep(&client);
	http_server_freep(&server);
	wakeup_release(&woken);
	return 0;
}

static struct http_transfer *start(const char *path, const char *form, const char *user)
{
	CLEANUP(freep) char *url = mem_printf("%s%s", path[0] == '/' ? base : "", path);

	return http_start(client, &(struct http_call){ .url = url, .form = form, .user = user, .stall_s = 5 });
}

/* Reads to the end; the state that it ended in. */
static enum http_state read_all(struct http_transfer *t, struct buf *body)
{
	enum http_state state;
	uint8_t *room;
	size_t n;

	for (;;) {
		state = http_state(t);
		do {
			room = buf_room(body, 10000);
			assert_non_null(room);
			n = http_read(t, room, 10000);
			body->len += n;
		} while (n > 0);
		if (state != HTTP_GOING)
			return state;
		wakeup_wait(&woken, WAIT_MS);
	}
}

static void expect_body(const char *path, const char *form, const char *user, long status, const char *wanted)
{
	CLEANUP(http_transfer_freep) struct http_transfer *t = start(path, form, user);
	CLEANUP(buf_release) struct buf body = BUF_INIT(BIG_BYTES);
	char type[40];

	assert_int_equal(read_all(t, &body), HTTP_ENDED);
	assert_int_equal(http_status(t), status);
	assert_string_equal(buf_text(&body), wanted);
	assert_true(http_header(t, "content-TYPE", type, sizeof(type)));
	assert_string_equal(type, "text/plain");
	assert_false(http_header(t, "retry-after", type, sizeof(type)));
}

static void test_requests(void **state)
{
	(void)state;
	expect_body("/x?q=1", NULL, NULL, 200, "GET -  1");
	expect_body("/x", "a=b&c=d", NULL, 200, "POST - a=b&c=d -");
	expect_body("/x", "", "key", 200, "POST Basic a2V5Og==  -");
	expect_body("/refused", NULL, NULL, 429, "GET -  -");
}

/* Nobody reads at first: the transfer stops when its buffer is full, and goes on when there is room. */
static void test_a_body_larger_than_the_buffer(void **state)
{
	CLEANUP(http_transfer_freep) struct http_transfer *t = start("/big", NULL, NULL);
	CLEANUP(buf_release) struct buf body = BUF_INIT(BIG_BYTES + 65536);

	(void)state;
	while (http_status(t) == 0)
		wakeup_wait(&woken, WAIT_MS);
	wakeup_wait(&woken, 300);
	assert_int_equal(http_state(t), HTTP_GOING);
	assert_int_equal(read_all(t, &body), HTTP_ENDED);
	assert_int_equal(body.len, BIG_BYTES);
	for (size_t i = 0; i < BIG_BYTES; i++)
		if (body.data[i] != byte_at(i))
			fail_msg("byte %zu differs", i);
}

static void test_many_at_once(void **state)
{
	struct http_transfer *all[16];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		all[i] = start(i % 4 ? "/x" : "/big", NULL, NULL);
	for (unsigned i = 0; i < 16; i++) {
		CLEANUP(buf_release) struct buf body = BUF_INIT(BIG_BYTES + 65536);

		if (i % 3 != 0) /* the others are ended wherever they stand */
			assert_int_equal(read_all(all[i], &body), HTTP_ENDED);
		http_transfer_freep(&all[i]);
	}
}

static void test_nobody_listens(void **state)
{
	CLEANUP(http_transfer_freep) struct http_transfer *t = start("http://127.0.0.1:1/", NULL, NULL);
	CLEANUP(buf_release) struct buf body = BUF_INIT(1000000);

	(void)state;
	assert_int_equal(read_all(t, &body), HTTP_FAILED);
	assert_int_equal(http_status(t), 0);
	assert_true(http_failure(t)[0] != '\0');
}

static void test_other_protocols_are_refused(void **state)
{
	CLEANUP(http_transfer_freep) struct http_transfer *t = start("file:///etc/hostname", NULL, NULL);
	CLEANUP(buf_release) struct buf body = BUF_INIT(1000000);

	(void)state;
	assert_int_equal(read_all(t, &body), HTTP_FAILED);
	assert_int_equal(body.len, 0);
}

static void test_fields(void **state)
{
	CLEANUP(buf_release) struct buf form = BUF_INIT(1000);

	(void)state;
	http_put_field(&form, "symbols", STR_LIT("ES.FUT,AAPL  250221C00250000"));
	http_put_field(&form, "x", ((struct str){ "a&b=\0\xC3\xA9~", 8 }));
	assert_string_equal(buf_text(&form), "symbols=ES.FUT%2CAAPL%20%20250221C00250000&x=a%26b%3D%00%C3%A9~");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_a_body_larger_than_the_buffer),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_other_protocols_are_refused),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
