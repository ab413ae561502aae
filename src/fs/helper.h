/* SPDX-License-Identifier: MIT */
/*
 * A process beside the daemon that touches names in the mount, so that the kernel tells those who watch
 * (inotify) what has happened on the server. The daemon answers it without any effect: see inotify.c.
 *
 * It is a process and not a thread, for it waits for locks of directories in the kernel. A thread that
 * waits there holds the daemon's fds, and with them its mount, even after a kill -9: whoever holds the
 * lock waits for an answer that cannot come, and none of them ever ends.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define HELPER_PROGRAM "mailfs-helper" /* argv[0] */
#define HELPER_PROBE   ".mailfs-probe" /* looked up at the root, to show who it is */

enum helper_verb {
	HELPER_MOUNT = 'm',  /* `folder` is the mount point; from now on only what lies on that device */
	HELPER_CREATE = 'c', /* a file */
	HELPER_UNLINK = 'u',
	HELPER_TOUCH = 't', /* its times */
	HELPER_MKDIR = 'd',
	HELPER_RMDIR = 'r',
};

/* One order, one packet; answered by an int (0 or errno). */
struct helper_order {
	int verb;
	char folder[PATH_MAX]; /* below the mount point; "" = itself */
	char name[NAME_MAX + 1]; /* in it; "" = itself (TOUCH) */
};

struct helper {
	pid_t pid;
	int fd; /* not blocking; -1 = there is none */
};

/* Before there are threads. On failure there is none, and no harm is done. */
void helper_start(struct helper *helper);
/* Ends it; after the unmount, so that it waits for nothing any more. */
void helper_end(struct helper *helper);
/* main() of the helper: serves on its standard input until the daemon goes. */
int helper_main(void);
