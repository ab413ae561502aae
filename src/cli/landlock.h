/* SPDX-License-Identifier: MIT */
/*
 * Landlock, landlock(7): from now on this thread, and those that it starts, open only files that were
 * allowed before, run no program, mount nothing, and listen on no port. Since ABI 6 of the kernel they also
 * send no signal to other processes, nor connect to their sockets of the abstract name space. Not in the
 * way of: sockets with a path, all that is sent by TCP and UDP. Files that are open stay so.
 * Any thread; nothing here may be undone.
 */
#pragma once

#include <stdbool.h>

struct landlock;

/* The version of the kernel's interface; below LANDLOCK_ABI_MIN it is of no use to us (0 = none). */
int landlock_abi(void);
#define LANDLOCK_ABI_MIN 2 /* before it, nothing could be renamed from one directory into another */

/* `needs_abstract`: sockets of the abstract name space may be connected to. NULL: the kernel has none, or
 * too old a one. */
struct landlock *landlock_new(bool needs_abstract);
/* A file, or a directory and all that is in it, now or later. What is not there is left out. */
void landlock_allow_read(struct landlock *landlock, const char *path);
/* And to be written, made and removed in it. */
void landlock_allow_write(struct landlock *landlock, const char *path);
/* False: refused; errno. Wants PR_SET_NO_NEW_PRIVS. */
bool landlock_enforce(const struct landlock *landlock);
void landlock_free(struct landlock *landlock); /* NULL is fine */
