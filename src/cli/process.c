/* SPDX-License-Identifier: MIT */
/* What the process is protected by, before it knows any secret. SEC-52. */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <glib.h>

#include "cli/mailfs.h"

void process_harden(void)
{
	const struct rlimit no_core = { 0, 0 };
	const char *home = g_getenv("HOME");

	umask(077);
	/* Only for hunting crashes of mailfs itself. */
	if (g_strcmp0(g_getenv("MAILFS_COREDUMP"), "1") != 0) {
		prctl(PR_SET_DUMPABLE, 0);
		setrlimit(RLIMIT_CORE, &no_core);
	}
	/* mount(8) passes an empty HOME; GLib then asks the password file. */
	if (home && !*home)
		g_unsetenv("HOME");
}
