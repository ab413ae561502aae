/* SPDX-License-Identifier: MIT */
/*
 * The top of a mount of several accounts: a directory with one for each, in the order of their places,
 * and a .mailfs for all. Loop thread.
 */
#pragma once

#include <sys/stat.h>

#include "fs/internal.h"

extern const struct fuse_lowlevel_ops all_operations; /* all.c */

void top_init(struct mount *mount);
void top_done(struct mount *mount);
bool top_is(const struct fs *fs); /* the top, and no account */

/* Of the top itself, of an account that does not work, or of a file in .mailfs. False: none such. */
bool top_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr);
void top_lookup(struct mount *mount, fuse_req_t req, const char *name);
void top_opendir(struct fs *fs, fuse_req_t req, uint64_t ino);
void top_readdir(struct mount *mount, fuse_req_t req, size_t size, off_t offset, bool is_plus);

/* The account of that name; NULL: none such. */
struct fs *top_find(const struct mount *mount, const char *name);
/* "ACCOUNT" or "ACCOUNT/FOLDER", and the folder's path in it. NULL: no such account. */
struct fs *top_find_path(const struct mount *mount, const char *path, const char **ret_rest);
/* The next account after `at`, which begins at 0; NULL: no more. */
struct fs *top_next(const struct mount *mount, unsigned *at);
