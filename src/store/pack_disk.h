/* SPDX-License-Identifier: MIT */
/*
 * Pack files by fd: DIR/bodies/000000/ID. Any thread; the loop only while it opens the store.
 * Functions return 0 or -errno. No link is followed and nothing but regular files of ours is
 * opened.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/dir.h"

/* -ENOENT also when it is something else than a file of ours. */
int pack_disk_open(struct store_dir *dir, uint32_t id, int *ret_fd);
/* To write there; made when missing. */
int pack_disk_open_to_write(struct store_dir *dir, uint32_t id, int *ret_fd);
void pack_disk_remove(struct store_dir *dir, uint32_t id);

struct pack_file {
	uint32_t id;
	uint64_t size;
};
/* All there are, as struct pack_file, appended. */
void pack_disk_list(struct store_dir *dir, GArray *files);

/* One piece behind the other, from `offset`. `pieces` are GBytes. */
int pack_disk_write(int fd, uint64_t offset, GBytes *const *pieces, size_t count);
