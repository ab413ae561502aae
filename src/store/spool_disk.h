/* SPDX-License-Identifier: MIT */
/*
 * One file of the spool on the disk. Worker threads, one at a time per file. Functions return 0 or
 * -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"
#include "store/spool.h"

struct spool_disk {
	int dir_fd; /* of spool/; borrowed */
	uint64_t id;
	bool is_new;       /* not made yet */
	bool is_read_only;
	bool is_synced;    /* its name is on the disk */
	int fd, wire_fd;   /* -1 = not open */
	bool is_wire_file; /* the wire form is the file itself */
	int failed;        /* -errno: an fsync failed, nothing counts any more */
};

/* The directory itself, below `parent_fd`; made when it is missing, unless it is only to be read. */
int spool_disk_open_dir(int parent_fd, bool is_read_only, int *ret_fd);

/* Opens it if it is not. Before any of the others. */
int spool_disk_open(struct spool_disk *disk);
void spool_disk_close(struct spool_disk *disk);
int spool_disk_size(const struct spool_disk *disk, uint64_t *ret_size);

/* All of it or (when it made the file longer) nothing. */
int spool_disk_write(struct spool_disk *disk, uint64_t offset, GBytes *bytes);
int spool_disk_truncate(struct spool_disk *disk, uint64_t size);
int spool_disk_sync(struct spool_disk *disk);
/* Of `fd`: `fd` or `wire_fd`; fewer only at the end. */
int spool_disk_read(int fd, struct mailfs_range range, GBytes **ret_bytes);
void spool_disk_remove(const struct spool_disk *disk);

/* ---- spool_wire.c ---- */

int spool_disk_scan(struct spool_disk *disk, bool is_kept, struct spool_wire *ret_wire);
int spool_disk_freeze(struct spool_disk *disk);
