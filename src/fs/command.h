/* SPDX-License-Identifier: MIT */
/*
 * A command for a mount that takes no writes (-o ro: the kernel refuses them): ioctl(2) of any file in
 * .mailfs that can be read, with the line that would be written to .mailfs/ctl. It ends when the command
 * was carried out; errors are those of the write.
 */
#pragma once

#include <sys/ioctl.h>

#define MAILFS_COMMAND_MAX 4096

struct mailfs_command {
	char line[MAILFS_COMMAND_MAX]; /* NUL-terminated */
};

#define MAILFS_IOC_COMMAND _IOW('M', 0x4d, struct mailfs_command)
