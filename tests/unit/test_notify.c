#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/notify.h"

static char folder[] = "/tmp/penstock-notify-XXXXXX";
static char path[sizeof(folder) + 16];
static int manager = -1; /* where the service manager would listen */

static void listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t n = strlen(name);

	memcpy(address.sun_path, name, n);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(manager >= 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'))),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/notify", folder);
	listen_at(path);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	assert_true(notify_open());
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(manager);
	unlink(path);
	unsetenv("NOTIFY_SOCKET");
	return notify_open() ? 0 : -1;
}

/* The next datagram; "": there is none. */
static const char *told(void)
{
	static char text[4096];
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void readiness_is_told_once_and_its_text_when_it_changes(void **state)
{
	(void)state;
	assert_true(notify_state("waiting for the broker\n"));
	assert_string_equal(told(), "STATUS=waiting for the broker");
	assert_true(notify_state("waiting for the broker\n"));
	assert_string_equal(told(), "");
	assert_true(notify_state(""));
	assert_string_equal(told(), "READY=1\nSTATUS=ready");
	assert_true(notify_state(""));
	assert_string_equal(told(), "");
	assert_true(notify_state("waiting for partitions"));
	assert_string_equal(told(), "STATUS=waiting for partitions");
	assert_true(notify_state(""));
	assert_string_equal(told(), "STATUS=ready");
	notify_stopping();
	assert_string_equal(told(), "STOPPING=1\nSTATUS=stopping");
}

/* What a server said is no assignment of its own, nor does it pass the datagram's bounds. */
static void a_text_of_several_lines_is_one(void **state)
{
	char text[4000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "no\nREADY=1\n", 11);
	text[sizeof(text) - 1] = '\0';
	assert_true(notify_state(text));
	assert_int_equal(strncmp(told(), "STATUS=no READY=1 xxx", 21), 0);
	assert_string_equal(told(), "");
}

static void an_abstract_socket_is_found(void **state)
{
	char name[64];

	(void)state;
	close(manager);
	snprintf(name, sizeof(name), "@penstock-notify-%d", (int)getpid());
	listen_at(name);
	assert_true(notify_open());
	assert_true(notify_state(""));
	assert_string_equal(told(), "READY=1\nSTATUS=ready");
}

static void nobody_asks(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_true(notify_open());
	assert_true(notify_state(""));
	notify_stopping();
	notify_beat();
	assert_string_equal(told(), "");
}

static void what_is_no_socket_is_refused(void **state)
{
	static const char *const names[] = { "relative", "@", "/", "vsock:2:1234" };
	char long_name[200];

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		assert_false(notify_open());
		assert_true(notify_state("")); /* as where nobody asks */
	}
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", long_name, 1);
	assert_false(notify_open());
}

static void a_manager_that_is_gone_is_said(void **state)
{
	(void)state;
	unlink(path);
	assert_false(notify_state("waiting for the broker"));
	assert_false(notify_state(""));
	close(manager);
	listen_at(path);
	assert_true(notify_state("")); /* not lost by what failed */
	assert_string_equal(told(), "READY=1\nSTATUS=ready");
}

static void beats_come_as_often_as_they_are_needed(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "600000000", 1);
	assert_true(notify_open());
	assert_int_equal(notify_beat_ns, 200 * NS_PER_SECOND);
	notify_beat();
	assert_string_equal(told(), "WATCHDOG=1");
	notify_beat();
	assert_string_equal(told(), "");
	setenv("WATCHDOG_USEC", "3", 1);
	assert_true(notify_open());
	for (int64_t end = clock_monotonic_ns() + 20 * NS_PER_MS; clock_monotonic_ns() < end;)
		notify_beat();
	assert_string_equal(told(), "WATCHDOG=1");
	assert_string_equal(told(), "WATCHDOG=1");
}

static void another_process_is_watched(void **state)
{
	char pid[32];

	(void)state;
	setenv("WATCHDOG_USEC", "1000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_true(notify_open());
	notify_beat();
	assert_string_equal(told(), "");
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_true(notify_open());
	notify_beat();
	assert_string_equal(told(), "WATCHDOG=1");
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_true(notify_open());
	assert_int_equal(notify_beat_ns, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(readiness_is_told_once_and_its_text_when_it_changes),
		TEST(a_text_of_several_lines_is_one),
		TEST(an_abstract_socket_is_found),
		TEST(nobody_asks),
		TEST(what_is_no_socket_is_refused),
		TEST(a_manager_that_is_gone_is_said),
		TEST(beats_come_as_often_as_they_are_needed),
		TEST(another_process_is_watched),
	};
	int failed;

	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
