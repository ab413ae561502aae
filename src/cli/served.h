/* SPDX-License-Identifier: MIT */
/*
 * One account that is served: what it has on disk, its engine, and the fs that shows it; what the engine
 * tells goes to the fs. Loop thread.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "cli/account.h"
#include "cli/storage.h"
#include "engine/engine.h"
#include "fs/fs.h"

struct served;

struct served_events {
	/* The engine's `started`, once. */
	void (*started)(void *user, struct served *served, const GError *error);
	void (*state_changed)(void *user, struct served *served, enum engine_state state);
};

struct served {
	struct account *account; /* borrowed */
	const struct served_events *events;
	void *user;

	/* its own */
	struct storage storage;
	struct engine *engine; /* NULL = not yet */
	struct fs *fs;         /* likewise */
};

/* Opens what the account has on disk, before anything else. False + error; served_close() it then too. */
bool served_open(struct served *served, GError **error);
/* Fs and engine, which is not started. `mountpoint` is borrowed, as `helper` of the fs. */
void served_make(struct served *served, const char *mountpoint, const struct fs_events *fs_events,
	const struct helper *helper);
/* Where the mount begins is known to be there, or nobody can know yet. MAILFS_ERROR_GONE. */
bool served_has_root(const struct served *served, GError **error);
/* Says so when the mount shows nothing but the cache. */
void served_warn_offline(const struct served *served);
/* The state and, if it is a bad one, why; g_free() it. */
char *served_describe(const struct served *served);
/* SIGHUP. */
void served_reload(struct served *served);
/* After the loop. An engine that has not stopped may not be freed: it stays. */
void served_close(struct served *served, bool is_stopped);
