/* SPDX-License-Identifier: MIT */
/* The loop's side of a store, shared by the files of this layer that run on the loop. */
#pragma once

#include "store/body.h"
#include "store/cached.h"
#include "store/dir.h"
#include "store/pack.h"
#include "store/store.h"
#include "store/thread.h"

struct store {
	/* fixed at open */
	char *path, *identity;
	struct store_dir *dir;
	struct store_link *link;
	struct store_thread *thread;

	/* until closed */
	bool is_broken, is_closing;
	struct store_trust trust;
	char *link_text; /* NULL = none */
	GPtrArray *folders; /* struct store_folder * */
	GHashTable *folder_names; /* name -> struct store_folder *, borrowed from `folders` */
	bool are_folders_behind; /* the index failed to take some: it gets all of them next time */
	uint64_t folder_rows;    /* given to the index, ever */
	size_t pending_rows;
	unsigned jobs_out; /* disk jobs */

	/* bodies: body.c */
	GHashTable *bodies; /* &body->key -> struct body * */
	GQueue idle;        /* bodies without references, least recently used first */
	GQueue idle_files;  /* those with an open file of their own */
	uint64_t pending_bytes;
	uint64_t use_clock; /* counts uses; the last use of a body is a value of it */
	GArray *touches;    /* struct touch, not yet given to the index */

	struct body_walk {
		uint32_t box, last; /* what was read last */
		uint32_t until;     /* so far the next ones are prepared */
		unsigned steps;
	} walk; /* body_ahead.c */

	struct packs packs; /* pack.c */

	/* cached.c */
	GHashTable *cached; /* box -> struct cached_box */
	size_t cached_blocks;

	GArray *counts; /* struct store_count, by box; NULL = not counted yet: count.c */

	/* evict.c */
	struct store_usage usage;
	struct evict *evict;  /* under way, or NULL */
	uint64_t evict_floor; /* nothing could be evicted: try again above this */
};

/* Runs `done` from the loop, after what was called before. NULL done is fine; error is copied. */
void store_post_done(struct store *store, store_done_fn done, void *user, const GError *error);

/* ---- for folders and batches: bodies that must go ------------------------------------------ */

/* Store thread: removes the rows with a UID in the range, adds what they held to the sums and
 * notes the files, for body_loss_unlink() after the commit. */
struct body_lost {
	uint64_t key;  /* box << 32 | uid */
	uint32_t pack; /* 0 = a file of its own */
	uint64_t bytes;
};
struct body_loss {
	uint64_t bytes, count;
	GArray *files; /* struct body_lost; NULL = none yet; g_array_unref() */
};
void body_loss_unlink(struct store_thread *thread, const struct body_loss *loss);
void body_loss_done(struct body_loss *loss);
int body_rows_forget(struct store_thread *thread, uint32_t box, uint32_t first, uint32_t last,
	struct body_loss *loss);
/* Loop: objects in the range cover nothing any more. */
void bodies_forget(struct store *store, uint32_t box, uint32_t first, uint32_t last);
void store_account_loss(struct store *store, const struct body_loss *loss);
