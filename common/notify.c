#include "common/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define TEXT_MAX 1024
#define STATUS_MAX 900 /* bytes of it that are told */
#define NS_PER_US 1000
#define BEATS 3 /* in the time of the watchdog */

int64_t notify_beat_ns;

static struct {
	int fd; /* -1: nobody asks */
	struct sockaddr_un address;
	socklen_t length;
	bool ready; /* was told */
	char told[TEXT_MAX];
	int64_t beat_at_ns;
} self = { .fd = -1 };

/* A path, or an abstract name behind an @. */
static bool set_address(const char *name)
{
	size_t n = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(self.address.sun_path))
		return false;
	self.address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(self.address.sun_path, name, n + 1);
	self.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
	if (name[0] == '@')
		self.address.sun_path[0] = '\0';
	return true;
}

/* Whether the manager waits for beats, and these are its process's: not every child of a service is watched. */
static int64_t beat_of_environment(void)
{
	const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	long long interval = us ? strtoll(us, NULL, 10) : 0;

	if (interval <= 0 || interval > INT64_MAX / NS_PER_US || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	return interval * NS_PER_US / BEATS;
}

bool notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");

	if (self.fd >= 0)
		close(self.fd);
	memset(&self, 0, sizeof(self));
	self.fd = -1;
	notify_beat_ns = 0;
	if (!name || !name[0])
		return true;
	if (!set_address(name))
		return false;
	self.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (self.fd < 0)
		return false;
	notify_beat_ns = beat_of_environment();
	return true;
}

/* Only what a signal handler may call. */
static bool tell(const char *text, size_t len, int flags)
{
	ssize_t n;

	do
		n = sendto(self.fd, text, len, MSG_NOSIGNAL | flags, (const struct sockaddr *)&self.address,
			   self.length);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

/* A line of its own in the datagram, whatever the text says. */
static void put_status(char status[TEXT_MAX], const char *missing)
{
	size_t n = strlen(missing);

	while (n > 0 && missing[n - 1] == '\n')
		n--;
	snprintf(status, TEXT_MAX, "STATUS=%.*s", n > STATUS_MAX ? STATUS_MAX : (int)n, missing);
	for (char *p = status; *p; p++)
		if (*p == '\n')
			*p = ' ';
}

bool notify_state(const char *missing)
{
	char status[TEXT_MAX], text[TEXT_MAX + 16];
	bool begins = !missing[0] && !self.ready;
	int n;

	if (self.fd < 0)
		return true;
	put_status(status, missing[0] ? missing : "ready");
	if (!begins && strcmp(status, self.told) == 0)
		return true;
	n = snprintf(text, sizeof(text), "%s%s", begins ? "READY=1\n" : "", status);
	if (!tell(text, (size_t)n, 0))
		return false;
	self.ready = self.ready || begins;
	memcpy(self.told, status, sizeof(status));
	return true;
}

void notify_stopping(void)
{
	static const char text[] = "STOPPING=1\nSTATUS=stopping";

	if (self.fd >= 0)
		tell(text, sizeof(text) - 1, MSG_DONTWAIT);
}

/* The coarse clock: it is asked for every message of a full topic. */
void notify_beat_now(void)
{
	static const char text[] = "WATCHDOG=1";
	struct timespec ts;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
	if (now < self.beat_at_ns)
		return;
	self.beat_at_ns = now + notify_beat_ns;
	tell(text, sizeof(text) - 1, MSG_DONTWAIT);
}
