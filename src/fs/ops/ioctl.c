/* SPDX-License-Identifier: MIT */
/* Commands for mounts that take no writes; nothing else is known here. */
#include <errno.h>
#include <string.h>

#include "fs/command.h"
#include "fs/internal.h"

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	const struct mailfs_command *command = in;

	if (ino_split(ino).kind != INO_KIND_CONTROL || cmd != MAILFS_IOC_COMMAND)
		fuse_reply_err(req, ENOTTY);
	else if (in_size != sizeof(*command) || !memchr(command->line, '\0', sizeof(command->line)))
		fuse_reply_err(req, EINVAL);
	else
		control_command(fs_of(req), req, command->line, 0);
}
