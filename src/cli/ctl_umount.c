/* SPDX-License-Identifier: MIT */
/* mailfsctl umount: and the wait for the daemon's end. */
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "cli/ctl.h"
#include "cli/exit_code.h"
#include "cli/mountpoint.h"

#define END_WAIT_MS 5000 /* an unmounted daemon ends within this */

/* So that a mount right after this one finds the cache unlocked. */
static void wait_for_end(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	if (pidfd >= 0 && poll(&poll_fd, 1, END_WAIT_MS) == 0)
		fputs("mailfsctl: unmounted; its process is still writing the cache\n", stderr);
}

int ctl_umount(int argc, char **argv)
{
	g_autofree char *mountpoint = NULL;
	g_autoptr(GError) error = NULL;
	SCOPED(fd_closep) int pidfd = -1;
	pid_t pid;

	if (argc != 2)
		return ctl_usage(argv[0]);
	mountpoint = ctl_find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	if (!ctl_is_mount(mountpoint))
		return ctl_fail(EX_USAGE, "%s: one account of several; unmount all of them: mailfsctl umount %s",
			mountpoint, dirname(mountpoint));
	pid = ctl_find_pid(mountpoint);
	pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	if (!mountpoint_unmount(mountpoint, false, &error))
		return ctl_fail_error(error);
	wait_for_end(pidfd);
	return 0;
}
