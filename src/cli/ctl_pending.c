/* SPDX-License-Identifier: MIT */
/* mailfsctl pending: what is not on the server yet; try it again, give it up. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/ctl.h"
#include "cli/exit_code.h"

static int print_pending(const char *mountpoint)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = ctl_read_now(mountpoint, "pending", &error);

	if (!text)
		return ctl_fail_error(error);
	if (*text == '\0')
		fputs("mailfsctl: everything is on the server\n", stderr);
	fputs(text, stdout);
	return 0;
}

static int write_pending(const char *mountpoint, const char *verb, const char *id)
{
	g_autofree char *text = g_strdup_printf("%s %s\n", verb, id);
	int r = ctl_write(mountpoint, text);

	if (r == -ENOENT)
		return ctl_fail(EX_NOINPUT, "%s: nothing with the id %s waits", mountpoint, id);
	if (r == -EINVAL)
		return ctl_fail(EX_USAGE, "pending: not an id: %s", id);
	if (r < 0)
		return ctl_fail(EX_TEMPFAIL, "%s: %s", mountpoint, g_strerror(-r));
	return 0;
}

int ctl_pending(int argc, char **argv)
{
	g_autofree char *mountpoint = NULL;
	bool is_retry = argc > 2 && strcmp(argv[2], "--retry") == 0;
	bool is_drop = argc > 2 && strcmp(argv[2], "--drop") == 0;

	if (argc < 2 || argc > 4 || (argc > 2 && !is_retry && !is_drop) || (is_drop && argc != 4) ||
		(argc == 4 && strchr(argv[3], '\n')))
		return ctl_usage(argv[0]);
	mountpoint = ctl_find_mount(argv[1]);
	if (!mountpoint)
		return EX_NOINPUT;
	if (argc == 2)
		return print_pending(mountpoint);
	return write_pending(mountpoint, is_retry ? "retry" : "drop", argc == 4 ? argv[3] : "all");
}
