/* SPDX-License-Identifier: MIT */
/*
 * Open directories: what a handle remembers between two requests for entries. Loop thread.
 */
#pragma once

#include "fs/internal.h"

/* Names of messages that are read from the index at once. */
#define DIRECTORY_PAGE 4096u

struct directory {
	uint64_t ino;
	GArray *folders; /* uint32_t dir_id, as they were at offset 0 */
	/* a page of stored names, ascending by UID */
	GArray *uids;
	GPtrArray *names;
	uint32_t box_id;
	uint32_t page_after; /* the page holds what has a higher UID … */
	uint32_t page_last;  /* … up to this one */
	bool has_page;
	unsigned reads_waiting; /* requests that wait with a pointer to this */
	bool is_released;
	bool is_skimmed; /* whoever reads it wants names only, so far */
};

/* The fs' until directory_close(); `fh` of the kernel's handle points to it. */
struct directory *directory_new(struct fs *fs, uint64_t ino);
struct directory *directory_of(const struct fuse_file_info *fi);
/* Freed when no request waits with it any more. */
void directory_close(struct fs *fs, struct directory *directory);
/* A request waits with a pointer to it; and does not any more. */
void directory_hold(struct directory *directory);
void directory_release(struct directory *directory);

/* ---- skim.c: listings of names only ---- */

/* What is the program called that opens a directory? */
struct skim_question {
	void (*done)(void *user, bool wants_names); /* once, soon */
	void *user;
	/* reset by each answer */
	int fd;
	bool is_open;
	guint source, timer;
};

/* The folder is large, and somebody can be asked. */
bool skim_may_pay(const struct fs *fs, const struct folder *folder);
/* False: there is no answer to come. */
bool skim_ask(struct fs *fs, struct skim_question *question, pid_t pid);
void skim_forget(struct skim_question *question);

/* The listing is of names only. It ends with the directory, or when somebody looks at what it holds. */
void skim_begin(struct fs *fs, struct directory *directory);
void skim_end(struct fs *fs, struct directory *directory);

/* The subfolders that are there now; later ones are not listed by this handle. */
void directory_take_folders(struct directory *directory, const struct folder *folder);

/* Takes the stored names of up to DIRECTORY_PAGE messages with UIDs above `after`, ascending. */
void directory_take_page(struct directory *directory, uint32_t box_id, uint32_t after, size_t count,
	const uint32_t *uids, const char *const *names);
/* Whether that page says what the name of this message is, or that it has none. */
bool directory_has_page_of(const struct directory *directory, uint32_t box_id, uint32_t uid);
/* NULL: it has none. `*at` begins at 0 and goes with ascending UIDs. */
const char *directory_name(const struct directory *directory, uint32_t uid, guint *at);
