/* SPDX-License-Identifier: MIT */
/*
 * Packs: append-only files that hold many small bodies each, because a file per small body costs
 * more than its bytes. Loop thread; rows say what lies where, here is only counted. Bodies that
 * are removed leave dead bytes behind: a pack without live ones is removed, one with few has them
 * moved to the current pack first.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/index.h"

struct body;
struct body_fd;
struct store;

/* Larger ones get a file of their own. May grow, but not shrink: older rows count up to here. */
#define PACK_BODY_MAX (512u << 10)
#define PACK_SIZE_MAX (64u << 20)

struct pack {
	uint32_t id;
	uint64_t tail;        /* reserved up to here */
	uint64_t size;        /* of the file, when all that is reserved is written */
	uint64_t live;        /* bytes that rows claim */
	unsigned patience;    /* turns of packs_tend() before it is compacted again */
	unsigned writes;      /* under way into it, or written and without rows yet */
	bool is_closed;       /* nothing is appended any more */
	bool is_going;        /* its removal is posted */
	struct body_fd *file; /* NULL = not open */
	GList *open_link;
};

struct packs {
	GHashTable *by_id; /* owns struct pack */
	struct pack *current;
	uint32_t next_id;
	uint64_t pack_size; /* where the next one begins; 0 = this cache is too small for packs */
	uint64_t live, size; /* sums over all */
	GQueue open;         /* struct pack *, with a file; longest open first */

	/* pack_write.c */
	GPtrArray *queue; /* struct body *, references: to be written */
	uint64_t queued_bytes; /* about */
	guint last_batch;      /* how many bodies it had */
	bool is_awaited;       /* somebody wants to know when one of them is on disk */
	guint gather_timer;    /* 0 = none */
	bool is_due;           /* it is for now */
	unsigned batches_out;

	/* pack_compact.c */
	struct compaction *compaction; /* NULL = none */
};

/* While opening: counts rows and files, fills usage. SQLite's code. */
int packs_load(struct store *store, struct index *index);
void packs_clear(struct store *store); /* as if nothing had been loaded */
void packs_done(struct store *store);

uint64_t packs_dead_bytes(const struct store *store);
/* Dead bytes that eviction reckons with; the rest is being compacted away. */
uint64_t packs_counted_dead_bytes(const struct store *store);

/* Rows claim more or less of a pack; 0 is nothing. Then, when all is counted: packs_tend(). */
void packs_account(struct store *store, uint32_t id, uint64_t gained, uint64_t lost);
/* Removes and compacts what it is time for. */
void packs_tend(struct store *store);
struct pack *packs_most_dead(struct store *store); /* NULL: none has dead bytes */

struct pack *packs_find(struct store *store, uint32_t id); /* NULL = none */
/* Room for `bytes` at *ret_offset of a pack, whose `writes` is counted up. */
struct pack *packs_reserve(struct store *store, uint64_t bytes, uint64_t *ret_offset);
void packs_write_done(struct store *store, struct pack *pack);
/* The same, but nothing of use was written there. */
void packs_write_failed(struct store *store, struct pack *pack, uint64_t offset, uint64_t bytes);

/* Few fds for many bodies. New reference, or NULL: not open now. */
struct body_fd *packs_file(struct store *store, uint32_t id);
void packs_keep_file(struct store *store, uint32_t id, struct body_fd *file);

/* ---- pack_write.c -------------------------------------------------------------------------- */

/* Could lie in a pack, if it is complete as soon as the caller is done. */
bool packs_may_take(const struct body *body);
void packs_queue(struct body *body);
/* Sends what is queued, if not enough is out already. */
void packs_flush(struct store *store);

/* ---- pack_compact.c ------------------------------------------------------------------------ */

/* Moves the live bodies of the pack away, bit by bit; those that are held stay. */
void compact_begin(struct store *store, struct pack *pack);
/* The disk is full: what is still to be moved is dropped. True: evict_room_made() comes later. */
bool compact_make_room(struct store *store);
void compact_done(struct store *store);
