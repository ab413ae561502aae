/* SPDX-License-Identifier: MIT */
/*
 * Waits between tries. The doubling stops at 240 s, so that 5 min is never passed with the jitter
 * added and clients that failed together still spread out. Pure.
 */
#include "base/backoff.h"

#define FIRST_MS 1000u
#define LAST_MS  240000u

void backoff_reset(struct backoff *backoff)
{
	backoff->failures = 0;
}

unsigned backoff_next_ms(struct backoff *backoff, uint32_t random)
{
	unsigned wait = LAST_MS;

	/* 1000 << 8 is past the last wait. */
	if (backoff->failures < 8)
		wait = FIRST_MS << backoff->failures;
	if (backoff->failures < 8)
		backoff->failures++;

	return wait * 3 / 4 + (unsigned)((uint64_t)random * (wait / 2) >> 32);
}
