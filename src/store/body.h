/* SPDX-License-Identifier: MIT */
/*
 * One mail body on disk, perhaps partial. Owner: loop thread. How and where the bytes lie is
 * known here only (a file per message now), so that the layout can change unseen.
 *
 * A body is a set of extents [offset, len), each with a CRC-32 of its bytes in the index. An
 * extent is checked on its first use in this process; a damaged one is dropped (and with it the
 * body's claim to be complete), so the bytes served are those that came, whatever happened to the
 * disk, at no fsync per message: losing a body costs only bandwidth.
 *
 * A complete body that is forgotten while somebody holds it can be read on through that object.
 *
 * Objects are shared: one per (box, uid) while somebody holds a reference; unreferenced ones stay
 * in a bounded LRU with their fd.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"
#include "store/store.h"

struct body;

struct body *body_open(struct store *store, uint32_t box_id, uint32_t uid); /* new ref, never NULL */
struct body *body_ref(struct body *body);
void body_unref(struct body *body); /* NULL is fine */

/* Runs fn once the index has been asked: at once when it was (from inside this call), else from
 * the loop. Until then the body covers nothing. */
typedef void (*body_ready_fn)(void *user);
void body_when_ready(struct body *body, body_ready_fn fn, void *user);
/* The waiting fn of this user will not run. */
void body_forget_waiter(struct body *body, void *user);
bool body_is_ready(const struct body *body);

bool body_is_complete(const struct body *body);  /* every byte is here, and the size is exact */
uint64_t body_size(const struct body *body);     /* of a complete body */
bool body_covers(const struct body *body, struct mailfs_range range);
/* First byte at or after `offset` that is not here. */
uint64_t body_covered_until(const struct body *body, uint64_t offset);
/* First byte at or after `offset` that is here; UINT64_MAX: none. */
uint64_t body_gap_until(const struct body *body, uint64_t offset);

/* Bytes that arrived. They can be read at once, from memory; a worker writes them to disk, then
 * the memory goes. Bytes that are here already are skipped. On a full or broken disk the bytes are
 * dropped before `done` (error set): the body covers less than hoped. `done` may be NULL. */
void body_add(struct body *body, uint64_t offset, GBytes *bytes, store_done_fn done, void *user);
/* Bytes handed to workers and not yet written, over all bodies: back pressure for fetching. */
uint64_t body_pending_bytes(const struct store *store);
/* Everything from 0 to `size` was added (else it does nothing): from now on it is complete;
 * committed to the index when the bytes are written. */
void body_complete(struct body *body, uint64_t size);
/* Forgets all bytes (wrong, or asked for). Open readers keep what they hold. */
void body_drop(struct body *body);
/* All bodies leave the cache but those that are held, pinned or being written; the space on disk is
 * given back before `done`, which comes at once when the store is closed before. */
void store_clear_bodies(struct store *store, store_done_fn done, void *user);
/* Never evicted (true). */
void body_pin(struct body *body, bool is_pinned);

/* Bytes for a reader. Exactly one of the three: `bytes` (memory), fd + offset (checked, valid
 * until the callback returns unless body_fd_hold() is taken), or error (DISK: damaged or gone,
 * the extents were dropped: fetch again). `len` may be shorter than asked, never 0 unless error;
 * the rest is asked for again. */
struct body_slice {
	GBytes *bytes; /* borrowed */
	int fd;
	uint64_t offset; /* in `bytes` or in the file of fd */
	size_t len;
};
/* Inside a body_read_fn whose slice has an fd: keeps that fd open and its checked bytes readable,
 * also after body_drop() and eviction, until released. Any thread may release. */
struct body_fd;
struct body_fd *body_fd_hold(struct body *body);
void body_fd_release(struct body_fd *held); /* NULL is fine */

typedef void (*body_read_fn)(void *user, const struct body_slice *slice, const GError *error);
/* `range` must begin in a covered byte (else error GONE). May call back at once, from inside. The
 * body stays referenced until then; store_close() answers what waits with an error. Less than `len` from the fd means a damaged file: body_drop(). */
void body_read(struct body *body, struct mailfs_range range, body_read_fn fn, void *user);
