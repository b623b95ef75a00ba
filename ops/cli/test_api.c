/* config test-api: is the vendor there, and does it know us? */
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/mem.h"
#include "ops/cli/cli.h"
#include "ops/cli/test_api.h"
#include "ops/cli/vendor.h"
#include "stages/fetcher/sources/databento/call.h"

#define COMMAND "config test-api"
#define CONNECT_MS 10000
#define CHECKS_MAX 8
#define ANSWER_MAX 65536

struct check {
	const char *name;
	bool passed;
	char text[400]; /* what was found, or why not */
	int64_t ms;
};

struct test {
	struct vendor vendor;
	struct check checks[CHECKS_MAX];
	unsigned count;
	char *host, *port;
};

static void test_release(struct test *test)
{
	vendor_release(&test->vendor);
	free(test->host);
	free(test->port);
}

static void url_cleanupp(CURLU **url)
{
	curl_url_cleanup(*url);
}

static void addresses_freep(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

/* Returns what it says, so that a check that did not pass can end the row of them. */
static bool note(struct test *test, const char *name, int64_t started_ns, bool passed, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static bool note(struct test *test, const char *name, int64_t started_ns, bool passed, const char *fmt, ...)
{
	struct check *check = &test->checks[test->count++];
	va_list args;

	check->name = name;
	check->passed = passed;
	check->ms = (clock_monotonic_ns() - started_ns) / NS_PER_MS;
	va_start(args, fmt);
	vsnprintf(check->text, sizeof(check->text), fmt, args);
	va_end(args);
	return passed;
}

/* --- the checks -------------------------------------------------------------------------------------------------------- */

/* Its length only: a key is never shown. */
static bool check_key(struct test *test)
{
	size_t n = strlen(test->vendor.account.key);

	if (n == 0)
		return note(test, "key", clock_monotonic_ns(), false,
			    "there is none: set DATABENTO_API_KEY, or databento.key in the fetcher's section");
	return note(test, "key", clock_monotonic_ns(), true, "%zu characters", n);
}

static bool check_address(struct test *test)
{
	CLEANUP(url_cleanupp) CURLU *url = curl_url();
	const char *text = test->vendor.account.url;
	char *host = NULL, *port = NULL;
	bool passed = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
		      curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		      curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;

	if (passed) {
		test->host = mem_strdup(host);
		test->port = mem_strdup(port);
	}
	curl_free(host);
	curl_free(port);
	return note(test, "gateway", clock_monotonic_ns(), passed, "%s", text);
}

static bool check_name(struct test *test, struct addrinfo **ret)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int64_t started = clock_monotonic_ns();
	int failed = getaddrinfo(test->host, test->port, &hints, ret);
	char address[64] = "";

	if (failed)
		return note(test, "dns", started, false, "%s: %s", test->host, gai_strerror(failed));
	getnameinfo((*ret)->ai_addr, (*ret)->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST);
	return note(test, "dns", started, true, "%s is %s", test->host, address);
}

/* 0, or errno. */
static int connect_within(int fd, const struct addrinfo *to)
{
	struct pollfd waiting = { .fd = fd, .events = POLLOUT };
	int outcome = 0;
	socklen_t size = sizeof(outcome);

	if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&waiting, 1, CONNECT_MS) <= 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &outcome, &size) ? errno : outcome;
}

static bool check_connection(struct test *test, const struct addrinfo *list)
{
	int64_t started = clock_monotonic_ns();
	int failed = 0;

	for (const struct addrinfo *to = list; to; to = to->ai_next) {
		int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		failed = fd < 0 ? errno : connect_within(fd, to);
		if (fd >= 0)
			close(fd);
		if (!failed)
			return note(test, "tcp", started, true, "port %s", test->port);
	}
	return note(test, "tcp", started, false, "port %s: %s", test->port, strerror(failed));
}

/* A call that costs nothing, and needs the key. */
static bool check_call(struct test *test)
{
	struct vendor *vendor = &test->vendor;
	CLEANUP(databento_call_release) struct databento_call call;
	enum call_step step = CALL_LATER;
	int64_t ready_ns, started = clock_monotonic_ns();
	struct err err = ERR_INIT;
	json_t *datasets;
	size_t count;

	vendor->account.tries_max = 1;
	databento_call_init(&call, &vendor->env);
	databento_call_begin(&call, DATABENTO_GET, "metadata.list_datasets");
	while (step == CALL_LATER) {
		if (databento_call_step(&call, &step, &ready_ns, &err))
			return note(test, "api", started, false, "%s", err.text);
		if (step == CALL_LATER)
			vendor_wait(vendor, ready_ns);
	}
	if (step == CALL_REFUSED)
		return note(test, "api", started, false, "HTTP %ld: %s", call.refusal.status, call.refusal.message);
	datasets = databento_call_json(&call, &err);
	if (!datasets)
		return note(test, "api", started, false, "%s", err.text);
	count = json_array_size(datasets);
	json_decref(datasets);
	return note(test, "api", started, true, "%s: %zu datasets", call.name, count);
}

static bool run_checks(struct test *test)
{
	CLEANUP(addresses_freep) struct addrinfo *addresses = NULL;

	return check_key(test) && check_address(test) && check_name(test, &addresses) &&
	       check_connection(test, addresses) && check_call(test);
}

/* --- telling ------------------------------------------------------------------------------------------------------------- */

static void print_json(const struct test *test, bool passed)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(ANSWER_MAX);
	struct json_out out = JSON_OUT(&text);

	json_put_open(&out, '{');
	json_put_key(&out, "source");
	json_put_str(&out, STR_LIT("databento"));
	json_put_key(&out, "passed");
	json_put_bool(&out, passed);
	json_put_key(&out, "checks");
	json_put_open(&out, '[');
	for (unsigned i = 0; i < test->count; i++) {
		const struct check *check = &test->checks[i];

		json_put_open(&out, '{');
		json_put_key(&out, "name");
		json_put_str(&out, str_of(check->name));
		json_put_key(&out, "passed");
		json_put_bool(&out, check->passed);
		json_put_key(&out, "detail");
		json_put_str(&out, str_of(check->text));
		json_put_key(&out, "ms");
		json_put_int(&out, check->ms);
		json_put_close(&out, '}');
	}
	json_put_close(&out, ']');
	json_put_close(&out, '}');
	puts(buf_text(&text));
}

static void print_text(const struct test *test, bool passed, bool verbose)
{
	for (unsigned i = 0; i < test->count; i++) {
		const struct check *check = &test->checks[i];

		if (verbose || !check->passed)
			printf("  %-8s %-6s %s (%" PRId64 " ms)\n", check->name, check->passed ? "ok" : "FAILED",
			       check->text, check->ms);
	}
	printf("databento: %s\n", passed ? "ok" : "FAILED");
}

int test_api_databento(const char *config, struct buf *ret)
{
	CLEANUP(test_release) struct test test = { .vendor = VENDOR_INIT };
	struct err err = ERR_INIT;
	int argc = 0;
	char *argv[] = { NULL };
	bool passed;

	if (vendor_open(&test.vendor, config, &argc, argv, &err)) {
		buf_put_text(ret, err.text);
		return 0;
	}
	if (!test.vendor.account.key[0])
		return -1;
	passed = run_checks(&test);
	if (test.count > 0)
		buf_put_text(ret, test.checks[test.count - 1].text);
	return passed;
}

int command_config_test_api(int argc, char **argv)
{
	CLEANUP(test_release) struct test test = { .vendor = VENDOR_INIT };
	const char *config = cli_option(&argc, argv, "--config");
	bool verbose = cli_flag(&argc, argv, "--verbose"), json = cli_flag(&argc, argv, "--json"), passed;
	struct err err = ERR_INIT;

	if (vendor_open(&test.vendor, config, &argc, argv, &err))
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	if (cli_leftover(COMMAND, argc, argv, 1))
		return EXIT_USAGE;
	if (argc != 1 || strcmp(argv[0], "databento") != 0)
		return fprintf(stderr, "penstock " COMMAND ": which source? There is: databento\n"), EXIT_USAGE;
	passed = run_checks(&test);
	if (json)
		print_json(&test, passed);
	else
		print_text(&test, passed, verbose);
	return passed ? EXIT_OK : EXIT_FAILED;
}
