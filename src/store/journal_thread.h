/* SPDX-License-Identifier: MIT */
/*
 * The journal's thread. Jobs that are queued together share a transaction: it is committed with an
 * fsync if one of them asks for it, and undone as a whole when it fails. A job is given away when
 * posted and comes back to the loop with its answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/journal_db.h"

/* Says on the loop whether the journal is still there. Counted atomically; `journal` is the
 * loop's, NULL after journal_close(). */
struct journal_link {
	struct journal *journal;
	GAsyncQueue *results; /* GPtrArray * of jobs that are done */
};
struct journal_link *journal_link_new(struct journal *journal);
struct journal_link *journal_link_ref(struct journal_link *link);
void journal_link_unref(struct journal_link *link);

struct journal_job {
	int (*run)(struct journal_db *db, const struct journal_job *job);
	bool is_synced;

	/* what run() needs; owned */
	enum journal_kind kind;
	void *row;
	GArray *ids; /* uint64_t to drop */
	char *folder, *to;
	char delimiter;
	uint32_t uidvalidity, uid;
	uint64_t next_id;

	/* the answer */
	store_done_fn done; /* NULL is fine */
	void *user;
	GError *error;

	struct journal_thread *thread;
};

struct journal_thread;
/* Takes the database over. */
struct journal_thread *journal_thread_new(
	struct journal_db *db, const char *path, struct journal_link *link);
void journal_thread_post(struct journal_thread *thread, struct journal_job *job);
/* Runs what was posted, closes the database. What is due by then is in link->results. */
void journal_thread_join(struct journal_thread *thread);
void journal_link_deliver(struct journal_link *link); /* one of the results, if there is one */

/* Without a thread: answers with the job's error, from the loop. */
void journal_job_answer(struct journal_job *job, struct journal_link *link);
/* journal.c: the loop has it back. */
void journal_answered(struct journal *journal, struct journal_job *job);
