/* SPDX-License-Identifier: MIT */
/* The time, injectable for tests. */
#include "base/clock.h"

#include <time.h>

static int64_t fake_us;
static int64_t fake_sleep_us;

static int64_t read_ns(clockid_t id)
{
	struct timespec now;

	if (fake_us != 0)
		return fake_us * 1000;
	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_monotonic_us(void)
{
	return read_ns(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_boottime_us(void)
{
	return read_ns(CLOCK_BOOTTIME) / 1000 + fake_sleep_us;
}

int64_t clock_realtime_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

void clock_fake(int64_t us)
{
	fake_us = us;
}

void clock_fake_sleep(int64_t us)
{
	fake_sleep_us = us;
}
