/* SPDX-License-Identifier: MIT */
/*
 * Body files by fd: DIR/bodies/BOX/UID. Any thread but the loop; functions return 0 or -errno. No
 * link is followed and nothing but regular files of ours is opened.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/dir.h"

/* A new, empty file, whatever was there. */
int body_disk_create(struct store_dir *dir, uint32_t box, uint32_t uid, int *ret_fd);
/* -ENOENT also when it is something else than a file of ours. */
int body_disk_open(struct store_dir *dir, uint32_t box, uint32_t uid, int *ret_fd);
int body_disk_write(int fd, uint64_t offset, const void *bytes, size_t len);
/* -ENOSPC when the disk is all but full. */
int body_disk_check_room(int fd, uint64_t bytes);
/* -ENODATA: the file is shorter. */
int body_disk_crc(int fd, uint64_t offset, size_t len, uint32_t *ret_crc);
/* NULL: they are not there, or others. */
GBytes *body_disk_read(int fd, uint64_t offset, size_t len, uint32_t crc);

/* What is not there is gone too. */
void body_disk_remove(struct store_dir *dir, uint32_t box, const uint32_t *uids, size_t count);

/* Box ids that have a directory; UIDs that have a file. Appended as uint32_t. */
void body_disk_list_boxes(struct store_dir *dir, GArray *boxes);
void body_disk_list_uids(struct store_dir *dir, uint32_t box, GArray *uids);
/* The directory of a box, when empty. */
void body_disk_remove_box(struct store_dir *dir, uint32_t box);
/* Removes some of what store_dir_set_aside() hid; true = there may be more. */
bool body_disk_sweep_hidden(struct store_dir *dir, unsigned limit);

/* For pack_disk.c. A directory below `parent`, made when wanted and missing. */
int body_disk_open_dir(int parent, const char *name, bool want_made, int flags, int *ret_fd);
/* A file of ours for reading and writing; -ENOENT: it is something else. `flags`: O_CREAT or 0. */
int body_disk_open_file(int parent, const char *name, int flags, int *ret_fd);
/* Names exactly as we make them: decimal, no leading zero, not 0. */
bool body_disk_parse_number(const char *name, uint32_t *ret_number);
