/* SPDX-License-Identifier: MIT */
/*
 * The end of a mount, one step after the other: send what waits (bounded), stop the engines (bounded),
 * unmount, let the loop end. What is freed after the loop is in the caller's hands. Loop thread.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "cli/served.h"

struct shutdown {
	GMainLoop *loop;
	struct mount *mount;
	GPtrArray *served; /* struct served *; borrowed */

	/* its own */
	bool is_running;
	bool is_over;
	unsigned left; /* that are flushed, then that are stopped */
	guint timer;
};

/* Begins; a second call skips what is still waited for. */
void shutdown_begin(struct shutdown *shutdown);
