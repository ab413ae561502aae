/* SPDX-License-Identifier: MIT */
/* How long to wait before the next try: 1 s, doubling, at most 5 min, ±25 % jitter. Pure. */
#pragma once

#include <stdint.h>

struct backoff {
	unsigned failures;
};

void backoff_reset(struct backoff *backoff);
/* The wait after one more failure, in ms. `random` is any 32 random bits. */
unsigned backoff_next_ms(struct backoff *backoff, uint32_t random);
