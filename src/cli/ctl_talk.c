/* SPDX-License-Identifier: MIT */
/* Verbs that are one line for .mailfs/ctl. */
#include <errno.h>
#include <string.h>

#include "cli/ctl.h"
#include "cli/exit_code.h"

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
