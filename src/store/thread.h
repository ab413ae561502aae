/* SPDX-License-Identifier: MIT */
/*
 * How work leaves the loop and comes back: jobs for the store thread, which owns the index, and
 * jobs for workers, which own nothing. A job is given away when posted and comes back to the loop,
 * where its answer runs; when the store was closed meanwhile it is only freed.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "store/dir.h"
#include "store/index.h"

/* Between a store and what is under way for it: says on the loop whether the store is still there.
 * Counted atomically; `store` is the loop's. */
struct store_link {
	struct store *store;  /* NULL after store_close() */
	GAsyncQueue *results; /* struct disk_job * that workers are done with */
};
struct store_link *store_link_new(struct store *store);
struct store_link *store_link_ref(struct store_link *link);
void store_link_unref(struct store_link *link);

/* ---- store thread -------------------------------------------------------------------------- */

struct store_thread;

/* Embedded first in the jobs of the façade. */
struct store_job {
	/* Store thread. SQLite's code; an error undoes the transaction and breaks the store. Jobs
	 * that write share transactions; their answers come after the commit. */
	int (*run)(struct store_thread *thread, struct store_job *job);
	/* Store thread, after the commit, also when that failed: files go after the rows that claim
	 * them, but they go. NULL is fine. */
	void (*after)(struct store_thread *thread, struct store_job *job);
	/* Loop, before free; NULL is fine. */
	void (*answer)(struct store *store, struct store_job *job, const GError *error);
	void (*free)(struct store_job *job); /* NULL: g_free() */
	bool is_write;
	unsigned rows; /* how much it weighs in a transaction */
	bool is_early; /* set by run() of one that only reads: the answer does not wait for a commit */

	GError *error; /* the thread's */
	struct store_thread *thread;
};

struct index *store_thread_index(struct store_thread *thread);
struct store_dir *store_thread_dir(struct store_thread *thread);

/* Takes the index over. */
struct store_thread *store_thread_new(struct index *index, struct store_dir *dir,
	struct store_link *link);
/* Any thread. */
void store_thread_post(struct store_thread *thread, struct store_job *job);
/* Waits until what was posted has run and is committed; blocks. Answers are still to come. */
void store_thread_sync(struct store_thread *thread);
/* Runs what was posted, commits, closes the index, frees. Answers that are due may be lost. */
void store_thread_join(struct store_thread *thread);

/* ---- workers ------------------------------------------------------------------------------- */

/* Embedded first. */
struct disk_job {
	void (*run)(struct disk_job *job);                          /* worker */
	void (*finish)(struct store *store, struct disk_job *job); /* loop; frees it */
	struct store_link *link;
};
/* Loop. Counted in store->jobs_out until finish(). */
void disk_job_post(struct store *store, struct disk_job *job);
/* Loop, at close: runs finish() of all that are out, waiting for them. */
void disk_jobs_drain(struct store *store);
