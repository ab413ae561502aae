/* SPDX-License-Identifier: MIT */
/* Verbs that are one line written to .mailfs/ctl. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli/ctl.h"
#include "cli/exit_code.h"

/* A read-only mount takes no writes, not even there: a signal does the same for all folders. */
static int signal_refresh(const char *mountpoint)
{
	pid_t pid = ctl_find_pid(mountpoint);

	if (pid == 0 || kill(pid, SIGUSR1) < 0)
		return ctl_fail(EX_UNAVAILABLE, "%s: mounted read-only, and its process cannot be signalled",
			mountpoint);
	return 0;
}

int ctl_refresh(int argc, char **argv)
{
	g_autofree char *mountpoint = NULL;
	g_autofree char *text = NULL;
	int r;

	if (argc < 2 || argc > 3)
		return ctl_usage(argv[0]);
	if (argc == 3 && strchr(argv[2], '\n'))
		return ctl_fail(EX_USAGE, "refresh: a folder's name has no line breaks");
	mountpoint = ctl_find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	text = argc == 3 ? g_strdup_printf("refresh %s\n", argv[2]) : g_strdup("refresh\n");
	r = ctl_write(mountpoint, text);
	if (r == -EROFS)
		return signal_refresh(mountpoint);
	if (r == -ENOENT && argc == 3)
		return ctl_fail(EX_NOINPUT, "%s: there is no folder %s", mountpoint, argv[2]);
	if (r < 0)
		return ctl_fail(EX_TEMPFAIL, "%s: %s", mountpoint, g_strerror(-r));
	return 0;
}

/* What stands behind an errno is in the status. */
static int fail_told(const char *mountpoint, int error)
{
	const char *text = error == EACCES ? "the server refused the login" : g_strerror(error);
	int code = error == EACCES ? EX_NOPERM : EX_TEMPFAIL;

	if (error == EROFS)
		return ctl_fail(EX_UNAVAILABLE, "%s: mounted read-only, it takes no commands", mountpoint);
	return ctl_fail(code, "%s: %s (mailfsctl status says more)", mountpoint, text);
}

int ctl_line(int argc, char **argv)
{
	g_autofree char *mountpoint = NULL;
	g_autofree char *text = g_strconcat(argv[0], "\n", NULL);
	int r;

	if (argc != 2)
		return ctl_usage(argv[0]);
	mountpoint = ctl_find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	r = ctl_write(mountpoint, text);
	return r < 0 ? fail_told(mountpoint, -r) : 0;
}
