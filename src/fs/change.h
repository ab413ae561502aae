/* SPDX-License-Identifier: MIT */
/*
 * A request whose answer is "done" or an error, and that waits for the engine to say which. Loop
 * thread.
 */
#pragma once

#include "fs/op.h"

struct change;

/* What is answered when it went well; must answer the request. */
typedef void (*change_reply_fn)(struct change *change, fuse_req_t req);

struct change {
	struct op op;
	change_reply_fn reply; /* NULL: an errno of 0 */
	/* The next step once this one went well, instead of the reply; it clears or sets itself. */
	void (*next)(struct change *change);
	/* It failed: what was done before is undone; the error is answered then. Or NULL. */
	void (*undo)(struct change *change);
	uint64_t ino, parent, other; /* as its user likes */
	char *name, *former, *others; /* likewise; freed with it */
	size_t size;
};

/* NULL: too many wait; the request was answered. */
struct change *change_new(struct fs *fs, fuse_req_t req, change_reply_fn reply);
/* What the engine returned for change_done: the answer may have come from inside the call, and
 * then `change` is gone. */
void change_wait(struct change *change, engine_ticket ticket);

/* engine_done_fn: `user` is the change; for calls with a ticket. */
void change_done(void *user, const GError *error);
/* engine_done_fn: `user` is an op_ref of it; for calls that cannot be cancelled. */
void change_done_ref(void *user, const GError *error);
