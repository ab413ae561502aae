/* SPDX-License-Identifier: MIT */
/*
 * What programs that watch the mount are told: the stream .mailfs/events, and real inotify events. News
 * of the engine become items here, with the names that the mount shows. Loop thread.
 */
#pragma once

#include <fuse_lowlevel.h>

#include "engine/engine.h"

struct fs;

/* One thing that has happened. Borrowed for the call. */
struct watch_item {
	enum engine_news_kind kind;
	const char *folder; /* path below the mount point; "" = the root */
	const char *name;   /* of the message, or of the folder in its parent; NULL = not known */
	uint64_t parent;    /* inode of the directory it is in */
	uint64_t ino;       /* its own */
	uint32_t uid;       /* 0: it is a folder */
	bool is_own;
};

void watch_done(struct fs *fs);
/* Programs wait no more: the unmount. */
void watch_end(struct fs *fs);

/* ---- events.c: .mailfs/events ---- */

struct events; /* NULL in struct fs as long as nobody has opened it */

bool events_are_wanted(const struct fs *fs);
void events_put(struct fs *fs, const struct watch_item *item);
void events_put_state(struct fs *fs, enum engine_state state);

/* Operations on the stream. fi->fh names the reader. */
void events_open(struct fs *fs, fuse_req_t req, struct fuse_file_info *fi);
void events_read(struct fs *fs, fuse_req_t req, size_t size, const struct fuse_file_info *fi);
void events_poll(struct fs *fs, fuse_req_t req, const struct fuse_file_info *fi,
	struct fuse_pollhandle *handle);
void events_release(struct fs *fs, const struct fuse_file_info *fi);
void events_end(struct fs *fs);  /* all readers: the end of the file */
void events_done(struct fs *fs); /* frees them */

/* ---- inotify.c ---- */

struct inotify; /* NULL in struct fs: off */

void inotify_begin(struct fs *fs); /* after the mount */
void inotify_end(struct fs *fs);   /* no acts any more; requests are answered still */
void inotify_done(struct fs *fs);  /* after the unmount */
bool inotify_is_wanted(const struct fs *fs);
void inotify_put(struct fs *fs, const struct watch_item *item);

/* True: the request was the helper's; it was answered, without an effect. */
bool inotify_takes_lookup(struct fs *fs, fuse_req_t req, uint64_t parent, const char *name);
bool inotify_takes_make(struct fs *fs, fuse_req_t req, uint64_t parent, const char *name);
bool inotify_takes_removal(struct fs *fs, fuse_req_t req, uint64_t parent, const char *name);
bool inotify_takes_setattr(struct fs *fs, fuse_req_t req, uint64_t ino);
