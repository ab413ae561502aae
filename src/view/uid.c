/* SPDX-License-Identifier: MIT */
/* 1234.eml: needs no header of any message, so a folder lists at once. */
#include <stdio.h>

#include "view/views.h"

static void uid_write(const struct mailfs_view *view, const struct mailfs_name_input *input,
	char ret_name[MAILFS_NAME_MAX + 1])
{
	snprintf(ret_name, MAILFS_NAME_MAX + 1, "%u.eml", (unsigned)input->uid);
}

const struct mailfs_view uid_view = {
	.name = "uid",
	.needs_head = false,
	.write_name = uid_write,
};
