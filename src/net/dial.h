/* SPDX-License-Identifier: MIT */
/*
 * From a name and a port to a connected, non-blocking TCP socket: resolver, happy eyeballs and the
 * user's proxy by GSocketClient, without blocking. Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mailfs/error.h"

struct dial;

struct dial_peer {
	int fd; /* given away; close-on-exec, keepalive and user timeout set */
	bool is_loopback; /* the server itself is at 127/8 or ::1; never true through a proxy */
};

/* From the loop, exactly once; `peer` is NULL on error. MAILFS_ERROR_NO_HOST: the name does not
 * resolve. REFUSED: refused, unreachable. TIMEOUT. */
typedef void (*dial_done_fn)(void *user, const struct dial_peer *peer, const GError *error);

/* `timeout_ms` bounds the name and the connection, each. */
struct dial *dial_new(const char *host, uint16_t port, unsigned timeout_ms, dial_done_fn done,
	void *user);
/* At any time, also inside `done`, and always once. No `done` comes after it. NULL is fine. */
void dial_free(struct dial *dial);
