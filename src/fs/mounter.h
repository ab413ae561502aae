/* SPDX-License-Identifier: MIT */
/*
 * The mount as the kernel sees it. Made by a process that may do so, which need not be the one that
 * answers: fs_mount() takes the file descriptor. Blocks; no thread of its own.
 */
#pragma once

#include <stdbool.h>

/* Strings are borrowed. */
struct mounter {
	const char *mountpoint;
	const char *fsname; /* "user@host:" */
	bool is_read_only;
	bool allow_other; /* implies default_permissions */
	bool default_permissions;
};

/* The fd that answers for it; -1: failed, libfuse or fusermount3 has said why on stderr. */
int mounter_mount(const struct mounter *mounter);
