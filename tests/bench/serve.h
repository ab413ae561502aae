/* SPDX-License-Identifier: MIT
 *
 * What the bare daemons share: a mount that is served until it is unmounted or a signal comes.
 */
#pragma once

#include <fuse_lowlevel.h>

/* `options` as for mount -o. 0 = it ended well. */
static inline int serve(const struct fuse_lowlevel_ops *ops, char *options, const char *mountpoint)
{
	char *words[] = { "mailfs-bench", "-o", options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, words);
	struct fuse_session *session = fuse_session_new(&args, ops, sizeof(*ops), NULL);
	int r = 1;

	if (!session || fuse_set_signal_handlers(session) != 0)
		return 1;
	if (fuse_session_mount(session, mountpoint) == 0) {
		r = fuse_session_loop(session);
		fuse_session_unmount(session);
	}
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return r == 0 ? 0 : 1;
}
