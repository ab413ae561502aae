/* SPDX-License-Identifier: MIT */
/*
 * The end of a mount, one step after the other: send what waits (bounded), stop the engine (bounded), unmount, let the loop
 * end. What is freed after the loop is in the caller's hands. Loop thread.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "engine/engine.h"
#include "fs/fs.h"

struct shutdown {
	GMainLoop *loop;
	struct engine *engine; /* NULL = not there (yet) */
	struct fs *fs;
	bool was_started; /* engine_start() was called */

	/* its own */
	bool is_running;
	bool is_stopped; /* the engine may be freed */
	bool is_over;
	guint timer;
};

/* Begins; a second call skips what is still waited for. */
void shutdown_begin(struct shutdown *shutdown);
