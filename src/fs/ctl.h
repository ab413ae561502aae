/* SPDX-License-Identifier: MIT */
/* The commands of .mailfs/ctl: of an account, and of all accounts at the top of a mount. Loop thread. */
#pragma once

#include <fuse_lowlevel.h>

struct fs;

/* It was carried out. `size`: of the write; 0 = it came by ioctl. */
void ctl_reply(fuse_req_t req, size_t size);
/* Answers the request, now or later; `word` NULL = there is none. */
void ctl_run(struct fs *fs, fuse_req_t req, const char *verb, const char *word, size_t size);

/* ctl_all.c: to all accounts, or to the one that the word begins with ("ACCOUNT/FOLDER",
 * "ACCOUNT:ID"). */
void ctl_run_all(struct fs *top, fuse_req_t req, const char *verb, const char *word, size_t size);
