/* SPDX-License-Identifier: MIT */
/*
 * What the kernel is told of changes. Telling may wait for a kernel lock that a pending request
 * of ours holds; on the loop thread that is a deadlock in D state. So a thread of its own does
 * it, in order, and nobody waits for it but by callback. It has a table of files of its own, so that
 * also a process that is killed with it in there ends (see notify.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct fuse_session;
struct notifier;

/* `session` must outlive the notifier. Loop thread. */
struct notifier *notifier_new(struct fuse_session *session);

/* Attributes of an inode are other than before. */
void notifier_attributes(struct notifier *notifier, uint64_t ino);
/* Attributes, pages and, of a directory, the cached listing. */
void notifier_everything(struct notifier *notifier, uint64_t ino);
/* The name in this directory leads somewhere else, or nowhere. */
void notifier_entry(struct notifier *notifier, uint64_t parent, const char *name);
/* Bytes of messages for the page cache; takes `pages` (struct notifier_page, cleared by it). What is
 * more than it can keep up with is not told: whoever reads it asks for it. */
struct notifier_page {
	uint64_t ino;
	GBytes *bytes; /* a reference; from offset 0 */
};
void notifier_pages(struct notifier *notifier, GArray *pages);
/* fn runs on the loop after everything that was told before; also after the feed was stopped. */
void notifier_then(struct notifier *notifier, void (*fn)(void *data), void *data);

/* How often the kernel was told that something is other than it remembers. */
uint64_t notifier_told(const struct notifier *notifier);
/* Some of what was fed is not told yet. */
bool notifier_is_behind(const struct notifier *notifier);

/* From now on nothing is told any more: the first step of an unmount. */
void notifier_stop_feed(struct notifier *notifier);
/* … and the thread tells nothing any more: it is in no call of the session. */
bool notifier_is_over(const struct notifier *notifier);
void notifier_join(struct notifier *notifier); /* after the unmount; frees it */
