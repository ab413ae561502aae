/* SPDX-License-Identifier: MIT */
/* Mounts of a test that nobody else sees, and that end with its process, however it ends. */
#pragma once

#include <sched.h>
#include <sys/mount.h>

/* First of all in main(): threads that exist already would not see them either. Who may not do this
 * may not mount either, and skips. */
static inline void own_mounts(void)
{
	if (unshare(CLONE_NEWNS) == 0)
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}
