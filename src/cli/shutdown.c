/* SPDX-License-Identifier: MIT */
/* The step machine of the end. The alarm of signals.c stands behind it. */
#include "cli/shutdown.h"

#include "base/log.h"
#include "cli/signals.h"
#include "engine/changes.h"

/* What is not on the server yet goes there within this, or at the next mount. */
#define FLUSH_MS 1000u

/* The engine says goodbye to the server within 2 s; a little more is for a busy loop. */
#define ENGINE_MS 2200u

/* From then on the mount point goes, this way or that … */
#define UNMOUNT_MS 1500u

/* … and when it is gone, nobody waits for what is still to be written. */
#define REST_MS 10000u

G_STATIC_ASSERT(FLUSH_MS + ENGINE_MS < SIGNALS_END_MS);
G_STATIC_ASSERT(FLUSH_MS + ENGINE_MS + UNMOUNT_MS < 5000u);

/* Last step on the loop. */
static void step_unmount(struct shutdown *shutdown)
{
	if (shutdown->is_over)
		return;
	shutdown->is_over = true;
	if (shutdown->timer != 0)
		g_source_remove(shutdown->timer);
	shutdown->timer = 0;
	signals_arm_for(UNMOUNT_MS);
	mount_end(shutdown->mount);
	signals_set_mountpoint(NULL);
	signals_arm_for(REST_MS);
	g_main_loop_quit(shutdown->loop);
}

/* True: that was the last, and nobody is in a hurry. */
static bool count_down(struct shutdown *shutdown)
{
	return --shutdown->left == 0 && !shutdown->is_over;
}

static void on_stopped(void *user)
{
	if (count_down(user))
		step_unmount(user);
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
static void step_stop(struct shutdown *shutdown)
{
	shutdown->timer = g_timeout_add(ENGINE_MS, on_timeout, shutdown);
	shutdown->left = shutdown->served->len + 1; /* this, too */
	for (guint i = 0; i < shutdown->served->len; i++)
		served_stop(g_ptr_array_index(shutdown->served, i), on_stopped, shutdown);
	on_stopped(shutdown);
}

static void on_flushed(void *user)
{
	if (count_down(user))
		step_stop(user);
}

static void step_flush(struct shutdown *shutdown)
{
	shutdown->left = 1; /* this */
	for (guint i = 0; i < shutdown->served->len; i++) {
		struct served *served = g_ptr_array_index(shutdown->served, i);

		if (!served->engine)
			continue;
		shutdown->left++;
		engine_flush(served->engine, FLUSH_MS, on_flushed, shutdown);
	}
	on_flushed(shutdown);
}

void shutdown_begin(struct shutdown *shutdown)
{
	signals_arm();
	if (shutdown->is_running) {
		step_unmount(shutdown);
		return;
	}
	shutdown->is_running = true;
	step_flush(shutdown);
}
