/* SPDX-License-Identifier: MIT */
/* The step machine of the end. The alarm of signals.c stands behind it. */
#include "cli/shutdown.h"

#include "base/log.h"
#include "cli/signals.h"
#include "engine/changes.h"

/* What is not on the server yet goes there within this, or at the next mount. */
#define FLUSH_MS 1500u

/* The engine says goodbye to the server within 2 s; a little more is for a busy loop. */
#define ENGINE_MS 2500u

/* Last step on the loop. */
static void step_unmount(struct shutdown *shutdown)
{
	if (shutdown->is_over)
		return;
	shutdown->is_over = true;
	if (shutdown->timer != 0)
		g_source_remove(shutdown->timer);
	shutdown->timer = 0;
	if (shutdown->fs)
		fs_unmount(shutdown->fs);
	signals_set_mountpoint(NULL);
	g_main_loop_quit(shutdown->loop);
}

static void on_stopped(void *user)
{
	struct shutdown *shutdown = user;

	shutdown->is_stopped = true;
	step_unmount(shutdown);
}

static gboolean on_timeout(gpointer user)
{
	struct shutdown *shutdown = user;

	shutdown->timer = 0;
	log_info("cli", "the connections do not end in time");
	step_unmount(shutdown);
	return G_SOURCE_REMOVE;
}

/* Changes are on the server, or stay in the journal. */
static void step_stop(void *user)
{
	struct shutdown *shutdown = user;

	if (shutdown->is_over)
		return;
	shutdown->timer = g_timeout_add(ENGINE_MS, on_timeout, shutdown);
	engine_stop(shutdown->engine, on_stopped, shutdown);
}

void shutdown_begin(struct shutdown *shutdown)
{
	signals_arm();
	if (shutdown->is_running) {
		step_unmount(shutdown);
		return;
	}
	shutdown->is_running = true;
	if (!shutdown->was_started) {
		shutdown->is_stopped = true;
		step_unmount(shutdown);
		return;
	}
	engine_flush(shutdown->engine, FLUSH_MS, step_stop, shutdown);
}
