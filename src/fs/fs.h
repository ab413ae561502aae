/* SPDX-License-Identifier: MIT */
/*
 * An account in a mount: FUSE requests answered from an engine and shown through a view. Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "engine/engine.h"
#include "fs/helper.h"
#include "mailfs/view.h"

struct fs;
struct mount;

struct fs_config {
	const char *name;           /* of its directory, where the mount has several; else NULL */
	unsigned place;             /* in the mount: 1 … MOUNT_ACCOUNTS_MAX where it has several, else 0 */
	const char *path;           /* where its root is */
	const char *root;           /* shown path of the folder that is the root; "" = the account */
	const struct mailfs_view *view;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool is_read_only;          /* -o ro */
	bool flag_bits;             /* u+x = \Flagged */
	bool ctime_is_mtime;
	bool exact_size;            /* fetch at stat */
	bool marks_seen;            /* -o seen=read: a read from offset 0 sets \Seen */
	struct helper helper;       /* for inotify events; its fd is -1: none. Borrowed */
	/* Tells `out` what the program of that process is called, soon; `out` stays the caller's. False:
	 * nobody can. NULL = likewise. */
	bool (*name_program)(pid_t pid, int out);
	const char *confinement;    /* for the status: what this process may do; static */
	unsigned timeout_ms;        /* of a request that waits */
};

/* The config's strings are borrowed for the fs' life, which ends between mount_end() and mount_free(). */
struct fs *fs_new(struct mount *mount, const struct fs_config *config);
void fs_free(struct fs *fs); /* NULL is fine */
/* Another config of the same name and place, while there is no engine. */
void fs_configure(struct fs *fs, const struct fs_config *config);
/* Whose mail it is: before the mount, or later where there is a failure until then. */
void fs_set_engine(struct fs *fs, struct engine *engine);
/* Where the mount has several accounts, one may have no engine: its directory is there and cannot be
 * entered; .mailfs/status of the mount says why. */
void fs_set_failure(struct fs *fs, const GError *failure);

/* Give these to engine_new(): they tell the kernel. */
void fs_listing_changed(struct fs *fs, const struct folder *folder);
void fs_message_changed(struct fs *fs, const struct folder *folder, uint32_t uid);
/* Its size turned out to be another one than was claimed. Before fs_message_changed(). */
void fs_message_resized(struct fs *fs, const struct folder *folder, uint32_t uid);
/* Its bytes are other than those that were read (the server sends others each time). */
void fs_message_bytes_changed(struct fs *fs, const struct folder *folder, uint32_t uid);
/* All of it was fetched ahead of a walk, the nth of those that come together. True: the kernel will
 * have it, so that whoever reads it need not ask. */
bool fs_message_came(struct fs *fs, const struct folder *folder, uint32_t uid, unsigned nth,
	GBytes *bytes);
void fs_message_gone(struct fs *fs, const struct folder *folder, uint32_t uid);
void fs_folder_going(struct fs *fs, const struct folder *folder);
void fs_folder_gone(struct fs *fs, const struct folder *folder);
void fs_box_gone(struct fs *fs, const struct folder *folder, uint32_t box_id);
/* For programs that watch. */
void fs_news(struct fs *fs, const struct engine_news *news);
void fs_state_changed(struct fs *fs, enum engine_state state);
/* Something of the folder is open. */
bool fs_is_in_use(struct fs *fs, const struct folder *folder);
/* -o prefetch=all: once the engine has started. */
void fs_fill(struct fs *fs);
/* The kernel forgets its directory caches. */
void fs_drop_caches(struct fs *fs);

/* The component function for engine_config: how a folder's name is shown. */
char *fs_component(const char *bytes, size_t len, bool is_top);
/* The name function for engine_config; `view` is its user pointer. */
uint32_t fs_message_name(void *view, uint32_t uid, int64_t date, const struct mailfs_head *head,
	char *name);
