/* SPDX-License-Identifier: MIT */
/* The loop's side of a journal, shared by journal.c and the spool. */
#pragma once

#include "store/dir.h"
#include "store/journal.h"
#include "store/journal_thread.h"

struct spool;

struct journal {
	char *path; /* of the directory, for people */
	bool is_read_only, is_closed;
	struct store_dir *dir; /* NULL: read-only */
	struct journal_link *link;
	struct journal_thread *thread; /* NULL: read-only */
	struct spool *spool;           /* NULL: read-only, and there is none */

	GPtrArray *rows[JOURNAL_KINDS]; /* NULL once visited */
	GArray *damaged_drafts;         /* uint64_t: their bytes stay */
	uint64_t next_id, reserved_id;
	unsigned pending;
};

/* ---- spool.c ---- */

/* Below the directory `parent_fd`. NULL + error. */
struct spool *spool_new(struct journal *journal, int parent_fd, GError **error);
void spool_close(struct spool *spool); /* waits for what was called, and calls back */
void spool_free(struct spool *spool);
uint64_t spool_max_id(const struct spool *spool); /* 0 = empty */
