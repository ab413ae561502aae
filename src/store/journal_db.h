/* SPDX-License-Identifier: MIT */
/*
 * The SQL of the journal. Owner: the thread of the journal, once it is open. Functions return
 * SQLITE_OK or SQLite's code.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <sqlite3.h>

#include "store/journal_rows.h"

struct journal_db;

/* Makes a whole, empty journal at `path`, which must not exist. */
int journal_db_create(const char *path, const char *identity, char **ret_why);
/* `ret_why` says what is wrong when the result is not SQLITE_OK: SQLITE_FULL = no space,
 * SQLITE_AUTH = of another account, else it cannot be read. With is_read_only nothing is written.
 */
int journal_db_open(const char *path, const char *identity, bool is_read_only,
	struct journal_db **ret_db, char **ret_why);
void journal_db_close(struct journal_db *db); /* NULL is fine; checkpoints */
const char *journal_db_error(const struct journal_db *db);
bool journal_db_is_full(const struct journal_db *db, int rc); /* the disk is */

/* Appends copies to rows[kind], by id ascending. Rows with a wrong sum are moved to the table
 * `damaged`; how many: *ret_damaged. */
int journal_db_load(
	struct journal_db *db, GPtrArray *const rows[JOURNAL_KINDS], unsigned *ret_damaged);
/* Ids of drafts in the table `damaged`, as uint64_t. */
int journal_db_damaged_drafts(struct journal_db *db, GArray *ids);
int journal_db_get_next_id(struct journal_db *db, uint64_t *ret_id);

/* is_synced: the commit of this transaction comes with an fsync. */
int journal_db_begin(struct journal_db *db, bool is_synced);
int journal_db_commit(struct journal_db *db);
void journal_db_rollback(struct journal_db *db);

int journal_db_set_next_id(struct journal_db *db, uint64_t id);
int journal_db_put(struct journal_db *db, enum journal_kind kind, const void *row);
int journal_db_drop(struct journal_db *db, uint64_t id);
int journal_db_drop_name(
	struct journal_db *db, const char *folder, uint32_t uidvalidity, uint32_t uid);
int journal_db_drop_names(struct journal_db *db, const char *folder, uint32_t uidvalidity_kept);
int journal_db_rename_folder(
	struct journal_db *db, const char *from, const char *to, char delimiter);
