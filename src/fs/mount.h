/* SPDX-License-Identifier: MIT */
/*
 * One FUSE session, and the accounts in it. Either one account, whose folders are the mount's own; or
 * several, each a directory of its own at the top, which has a .mailfs for all of them (all.c). Loop
 * thread, with a notifier thread for what is told to the kernel.
 *
 *   mount_new → fs_new for each account → mounter_mount, mount_start → … → mount_end → fs_free for each → mount_free
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

struct mount;

#define MOUNT_ACCOUNTS_MAX 31u

struct mount_config {
	const char *mountpoint;   /* absolute */
	bool has_accounts;        /* directories at the top; else there is one account */
	bool is_read_only;        /* all of it */
	uid_t uid;                /* of the top; each account has its own */
	gid_t gid;
	mode_t umask;
	unsigned timeout_ms;      /* of a request to the top that waits */
	const char *confinement;  /* for the status: what this process may do; static */
	bool is_debug;            /* libfuse's own trace */
};

struct mount_events {
	/* The kernel ended the mount (umount, fusermount3 -u, abort). Once. */
	void (*ended)(void *user);
	/* Whoever has mounted it (mounter.h) shall unmount it, lazily. From mount_end(). */
	void (*unmount)(void *user);
};

/* The config's strings are borrowed for the mount's life. */
struct mount *mount_new(const struct mount_config *config, const struct mount_events *events,
	void *user);
/* Another text for the status. */
void mount_set_confinement(struct mount *mount, const char *text);
/* Begins to answer for what mounter_mount() has mounted; takes the fd. Error: MAILFS_ERROR_INVALID. */
bool mount_start(struct mount *mount, int fd, GError **error);
/* Fails what waits, stops the notifier's feed, unmounts, joins. May take a moment, never long. */
void mount_end(struct mount *mount);
void mount_free(struct mount *mount); /* NULL is fine */
