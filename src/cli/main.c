/* SPDX-License-Identifier: MIT */
/* One binary, several names: mailfs, mailfsctl, and mount.mailfs or mount.fuse.mailfs for mount(8). */
#include <string.h>

#include <glib.h>

#include "cli/mailfs.h"
#include "cli/notify.h"
#include "cli/resolve.h"
#include "fs/helper.h"

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "mailfs";

	process_harden();
	if (strcmp(name, HELPER_PROGRAM) == 0)
		return helper_main();
	notify_init();
	resolve_init();
	if (strcmp(name, "mailfsctl") == 0)
		return ctl_main(argc, argv);
	return mailfs_main(argc, argv, g_str_has_prefix(name, "mount."));
}
