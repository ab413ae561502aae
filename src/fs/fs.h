/* SPDX-License-Identifier: MIT */
/*
 * The mount: FUSE requests answered from an engine and shown through a view. Loop thread, with a
 * notifier thread of its own for what is told to the kernel.
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

struct fs_config {
	const char *mountpoint;     /* absolute */
	const char *root;           /* shown path of the folder that is the root; "" = the account */
	const struct mailfs_view *view;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool is_read_only;          /* -o ro */
	bool allow_other;           /* implies default_permissions */
	bool default_permissions;
	bool flag_bits;             /* u+x = \Flagged */
	bool ctime_is_mtime;
	bool exact_size;            /* fetch at stat */
	bool marks_seen;            /* -o seen=read: a read from offset 0 sets \Seen */
	struct helper helper;       /* for inotify events; its fd is -1: none. Borrowed */
	bool is_debug;              /* libfuse's own trace */
	/* Tells `out` what the program of that process is called, soon; `out` stays the caller's. False:
	 * nobody can. NULL = likewise. */
	bool (*name_program)(pid_t pid, int out);
	const char *confinement;    /* for the status: what this process may do; static */
	unsigned timeout_ms;        /* of a request that waits */
};

struct fs_events {
	/* The kernel ended the mount (umount, fusermount3 -u, abort). Once. */
	void (*ended)(void *user);
	/* Whoever has mounted it (mounter.h) shall unmount it, lazily. From fs_unmount(). */
	void (*unmount)(void *user);
};

/* The config's strings are borrowed for the fs' life. */
struct fs *fs_new(const struct fs_config *config, const struct fs_events *events, void *user);
/* Before the mount: whose mail it is. */
void fs_set_engine(struct fs *fs, struct engine *engine);

/* Begins to answer for what mounter_mount() has mounted; takes the fd. Error: MAILFS_ERROR_INVALID. */
bool fs_mount(struct fs *fs, int fd, GError **error);
/* Fails what waits, stops the notifier's feed, unmounts, joins. May take a moment, never long. */
void fs_unmount(struct fs *fs);
void fs_free(struct fs *fs);

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
void fs_folder_gone(struct fs *fs, const struct folder *folder);
void fs_box_gone(struct fs *fs, const struct folder *folder, uint32_t box_id);
/* For programs that watch. */
void fs_news(struct fs *fs, const struct engine_news *news);
void fs_state_changed(struct fs *fs, enum engine_state state);
/* Something of the folder is open. */
bool fs_is_in_use(struct fs *fs, const struct folder *folder);
/* -o prefetch=all: once the engine has started. */
void fs_fill(struct fs *fs);
/* SIGHUP: the kernel forgets its directory caches. */
void fs_drop_caches(struct fs *fs);

/* The component function for engine_config: how a folder's name is shown. */
char *fs_component(const char *bytes, size_t len, bool is_top);
/* The name function for engine_config; `view` is its user pointer. */
uint32_t fs_message_name(void *view, uint32_t uid, int64_t date, const struct mailfs_head *head,
	char *name);
