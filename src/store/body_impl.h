/* SPDX-License-Identifier: MIT */
/* Body objects, shared by body*.c, pack*.c, evict.c. Loop thread. */
#pragma once

#include "store/body.h"
#include "store/extents.h"
#include "store/store_impl.h"

struct body_fd {
	int fd;
};
struct body_fd *body_fd_new(int fd); /* takes fd */
struct body_fd *body_fd_ref(struct body_fd *held);

/* Bytes to be written by the next job. */
struct body_piece {
	uint64_t offset;
	uint32_t crc; /* set by the worker */
	GBytes *bytes;
};

void body_piece_clear(gpointer piece);

struct body_done {
	store_done_fn fn;
	void *user;
};

struct body_waiter {
	body_ready_fn fn;
	void *user;
};

struct body_wait_read {
	struct mailfs_range range;
	body_read_fn fn;
	void *user;
};

/* Where the extents on disk lie. */
struct body_place {
	uint32_t pack;   /* 0 = in a file of its own */
	uint64_t offset; /* of byte 0 of the body */
};

struct body {
	struct store_link *link; /* to the store, while it is open */
	uint64_t key;            /* box << 32 | uid */
	uint64_t source;         /* whose bytes on disk these are: `key`, or a copy's */
	unsigned refs;
	GQueue *idle_in;  /* where it waits while refs == 0 */
	GList *idle_link; /* there; NULL = it is in use */

	bool is_ready, is_complete, is_pinned;
	bool is_forgotten; /* its message is gone: nothing is added, nothing written */
	bool is_kept;      /* gone, but whole: who holds it reads on */
	bool is_wanted_soon; /* to be checked when the index has answered */
	uint64_t size;     /* of a complete body */
	GArray *extents;
	GArray *waiters; /* struct body_waiter */
	GArray *reads;   /* struct body_wait_read, behind checks */
	struct body_place place;
	struct body_fd *file; /* that lies there; NULL = not open */
	unsigned generation;  /* bytes of an older one are nothing to us */

	/* writing: body_write.c */
	GArray *pieces; /* struct body_piece, next job */
	GArray *dones;  /* struct body_done, of these pieces */
	bool is_queued;    /* for a pack */
	bool is_writing;   /* a job is out */
	bool is_dropping;  /* the index and the disk are told to forget, or must be */
	bool is_drop_sent; /* told already */
	bool needs_save;   /* the row is behind */
	bool is_pin_set;   /* is_pinned is newer than the row */
	bool is_saved;     /* has a row in the index */
	uint64_t saved_bytes;
	uint32_t saved_pack;

	uint64_t used;
	bool is_touched; /* in store->touches */
};

struct touch {
	uint64_t key, used;
};

static inline uint64_t body_key(uint32_t box, uint32_t uid)
{
	return (uint64_t)box << 32 | uid;
}

static inline struct store *body_store(const struct body *body)
{
	return body->link->store;
}

static inline uint32_t key_box(uint64_t key)
{
	return (uint32_t)(key >> 32);
}

static inline uint32_t key_uid(uint64_t key)
{
	return (uint32_t)key;
}

/* Nothing on disk is its own. */
static inline bool body_is_shared(const struct body *body)
{
	return body->source != body->key;
}

static inline uint32_t body_box(const struct body *body)
{
	return (uint32_t)(body->key >> 32);
}

static inline uint32_t body_uid(const struct body *body)
{
	return (uint32_t)body->key;
}

void bodies_init(struct store *store);
void bodies_finish(struct store *store); /* at close: what waits for an answer goes on without */
void bodies_done(struct store *store);   /* at close: objects that are still held become empty */
/* The object, if there is one. */
struct body *bodies_find(struct store *store, uint64_t key);
/* Drops the object from memory if nobody holds it; false = it is held. */
bool body_release_idle(struct store *store, uint64_t key);
/* Idle ones that keep the disk space of what others have removed. */
void bodies_release_shared(struct store *store);
void body_touch(struct body *body);
void body_ask_index(struct body *body); /* body_lookup.c */
void bodies_flush_touches(struct store *store);

/* Everything in memory is forgotten; waiting reads fail. body_drop.c */
void body_clear(struct body *body);
/* What waits to be written will not be; it can be read. */
void body_stop_writing(struct body *body);
/* Whatever is next: telling index and disk to forget, writing what waits, bringing the row up to
 * date. One thing at a time. */
void body_write_kick(struct body *body);
void body_send_drop(struct body *body); /* now */
/* For pack_write.c: nothing stands in the way of writing what waits; writes it to a file of its
 * own, or does what must be done first; what the row is from now on, counted. */
bool body_is_idle_for_write(const struct body *body);
void body_write_alone(struct body *body);
void body_fill_row(struct body *body, struct index_body *ret_row);
void body_dones_run(GArray *dones, const GError *error);
bool store_is_full(int r);
/* Bytes on disk turned out bad: all of them, or the extent that begins at `offset`. */
void body_lose_disk(struct body *body, const char *why);
void body_lose_extent(struct body *body, uint64_t offset, const char *why);

/* Reads and checks an extent that is not checked yet. body_read.c */
void body_check(struct body *body, struct extent *extent);
/* Its beginning is read: then so may be those behind it. body_ahead.c */
void body_note_read(const struct body *body);
/* It is ready, and will probably be read. */
void body_check_ahead(struct body *body);

/* Waiting reads: those that can be answered are; the others wait on. body_read.c */
void body_reads_retry(struct body *body);
/* Those that begin in the range fail. */
void body_reads_fail(struct body *body, struct mailfs_range range, const char *why);
