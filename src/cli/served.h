/* SPDX-License-Identifier: MIT */
/*
 * One account that is served: what it has on disk, its engine, and the fs that shows it; what the engine
 * tells goes to the fs. In a mount of several it may fail and be tried again, and nobody else notices.
 * Loop thread.
 *
 *   served_new → served_load → served_ask → (fork) → served_show → served_open → served_start → … → served_stop → served_free
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "cli/account.h"
#include "cli/storage.h"
#include "engine/engine.h"
#include "fs/fs.h"
#include "fs/mount.h"

struct served;

struct served_events {
	/* The engine's `started`, once. */
	void (*started)(void *user, struct served *served, const GError *error);
	void (*state_changed)(void *user, struct served *served, enum engine_state state);
};

struct served {
	char *given;       /* SOURCE, or the name of the account */
	char *path;        /* of its root: the mount point, or a directory in it */
	unsigned place;    /* in the mount; 0 = it is all of it */
	struct account *account; /* NULL = it could not be made */
	struct account *stub;    /* what is known of it then; NULL = nobody asked */
	GError *failure;   /* why there is no engine; NULL = there is one, or will be */
	struct helper helper;
	const struct served_events *events;
	void *user;

	/* its own */
	struct storage storage;
	struct engine *engine; /* NULL = not yet */
	struct fs *fs;         /* likewise */
	bool has_started;      /* or has failed to */
	bool is_stopped;       /* the engine may be freed */
};

/* `place` 0: of a mount of its own. */
struct served *served_new(const char *given, const char *mountpoint, unsigned place);
void served_free(struct served *served); /* after the loop */

/* Before the fork: reads the configuration; then asks for the password. On failure `failure` is set,
 * too. */
bool served_load(struct served *served, const char *config_path, const struct options *options,
	GError **error);
bool served_ask(struct served *served, GError **error);
/* The account; of one that could not be made: its name and places, so that it may work later. */
const struct account *served_known(struct served *served, const char *config_path,
	const struct options *options);
/* Its place in the mount, with or without an account. */
void served_show(struct served *served, struct mount *mount);
/* Opens what the account has on disk and makes the engine. On failure `failure` is set, too. */
bool served_open(struct served *served, GError **error);
/* Starts the engine, if there is one: `started` may come from inside. */
void served_start(struct served *served);
/* Where the mount begins is known to be there, or nobody can know yet. MAILFS_ERROR_GONE. */
bool served_has_root(const struct served *served, GError **error);
/* Says so when the mount shows nothing but the cache. */
void served_warn_offline(const struct served *served);
/* Of one among several: the failure goes to the log, nobody ends for it. */
void served_warn(const struct served *served, const GError *error);
/* The state and, if it is a bad one, why; g_free() it. */
char *served_describe(const struct served *served);

/* SIGHUP: the password settings anew; an account that has failed is made anew. */
void served_reload(struct served *served, const char *config_path, const struct options *options);
void served_refresh(struct served *served);
/* `stopped` comes exactly once. */
void served_stop(struct served *served, void (*stopped)(void *user), void *user);
