/* SPDX-License-Identifier: MIT */
/*
 * A FUSE request that waits: for the network, the index or the notifier. It has a deadline of its
 * own (a reader that was killed sends no INTERRUPT), and op_finish() is the only place that ends
 * it. Loop thread.
 *
 * Each operation embeds `struct op` first in a struct of its own. Requests to the engine are
 * cancelled with the op, so their callbacks may carry the op itself; they set op->ticket = 0
 * first. Since an answer may come from inside the call, a ticket is stored only if it is not 0.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <fuse_lowlevel.h>
#include <glib.h>

#include "engine/engine.h"

struct fs;
struct op;

typedef void (*op_free_fn)(struct op *op);

#define OP_DIRS 2

struct op {
	struct fs *fs;
	fuse_req_t req;
	uint64_t id;
	guint timer;
	engine_ticket ticket; /* cancelled when the op is given up; 0 = none */
	op_free_fn release;   /* frees what the embedding struct holds; NULL = nothing */
	uint64_t dirs[OP_DIRS]; /* the kernel has them locked until the answer; 0 = none */
};

/* `size` of the embedding struct. NULL: too many wait already; the request was answered. */
struct op *op_new(struct fs *fs, fuse_req_t req, size_t size, op_free_fn release);
/* Without a deadline: for who waits for news, may be interrupted, and reads past the page cache (only
 * then does the kernel tell of an interrupt). */
void op_wait_for_ever(struct op *op);
/* For callbacks that cannot be cancelled (store, notifier): a reference that outlives the op. */
struct op_ref;
struct op_ref *op_ref_new(const struct op *op);
/* Frees the reference; the op if it still waits, else NULL. */
struct op *op_ref_take(struct op_ref *ref);

/* Answers the request by `reply` and frees the op. The request must be answered in `reply`. */
typedef void (*op_reply_fn)(fuse_req_t req, void *data);
void op_finish(struct op *op, op_reply_fn reply, void *data);
void op_finish_errno(struct op *op, int error);
void op_finish_error(struct op *op, const GError *error); /* not NULL */

/* Ends everything that waits: the unmount. */
void op_finish_all(struct fs *fs, int error);
