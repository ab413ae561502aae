/* SPDX-License-Identifier: MIT */
/* How far a mount is with fetching everything, as its status.json tells it. Pure. */
#pragma once

#include <stdint.h>

struct prefetch_view {
	uint64_t total, done; /* messages, of all accounts */
	uint64_t bytes;       /* fetched */
	/* Accounts that are not done: those that go on, or will; of these, those whose last try to
	 * connect has failed; and those that need somebody to do something first. */
	unsigned running, waiting;
	unsigned offline, refused;
	unsigned full; /* done as far as the cache has room */
};

void prefetch_view_read(const char *json, struct prefetch_view *ret_view);
