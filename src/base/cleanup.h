/* SPDX-License-Identifier: MIT */
/*
 * Release by scope. `SCOPED(fd_closep) int fd = -1;` closes when the scope ends; hand over with
 * `fd_take(&fd)`. For GLib types use g_autofree, g_autoptr and g_steal_pointer.
 */
#pragma once

#include <unistd.h>

#define SCOPED(release) __attribute__((cleanup(release)))

static inline void fd_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
