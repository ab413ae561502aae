/* SPDX-License-Identifier: MIT */
/* The time between two polls, measured where the main context polls. */
#include "base/watchdog.h"

#include <glib.h>

#include "base/clock.h"
#include "base/log.h"

#define WATCHDOG_LOG_US 20000

static int64_t woken_us;
static int64_t longest_us;

static gint watched_poll(GPollFD *fds, guint count, gint timeout)
{
	int64_t busy_us = woken_us != 0 ? clock_monotonic_us() - woken_us : 0;
	gint ready;

	longest_us = MAX(longest_us, busy_us);
	if (busy_us > WATCHDOG_LOG_US)
		log_info("loop", "was busy for %d ms", (int)(busy_us / 1000));
	ready = g_poll(fds, count, timeout);
	woken_us = clock_monotonic_us();
	return ready;
}

void watchdog_start(void)
{
	g_main_context_set_poll_func(NULL, watched_poll);
}

int64_t watchdog_longest_us(void)
{
	return longest_us;
}
