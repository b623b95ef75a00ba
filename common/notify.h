#pragma once
/*
 * Tells the service manager how this process does: one datagram to
 * $NOTIFY_SOCKET, as systemd's sd_notify(3) describes it, without its library.
 * Where nobody asks, nothing is sent.
 */
#include <stdbool.h>
#include <stdint.h>

/* Reads the environment; before threads are started. False: $NOTIFY_SOCKET names no socket. */
bool notify_open(void);

/*
 * `missing`: what is waited for, "" where the process is ready. Readiness is
 * told once, as there is no way back; the text goes on to be shown. False: it
 * could not be sent, and who waits for it waits in vain.
 */
bool notify_state(const char *missing);

/* Also from a signal handler. */
void notify_stopping(void);

/* The loop turns; told as often as the manager's watchdog needs it. By one thread. */
void notify_beat_now(void);

extern int64_t notify_beat_ns; /* between two beats; 0: nobody watches */

static inline void notify_beat(void)
{
	if (notify_beat_ns > 0)
		notify_beat_now();
}
