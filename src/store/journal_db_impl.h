/* SPDX-License-Identifier: MIT */
/* What the files of the journal's database share. */
#pragma once

#include "store/journal_db.h"

struct journal_db {
	sqlite3 *db;
	bool is_read_only;
	int version; /* of the file as it was found */
	bool is_synced; /* as PRAGMA synchronous stands */
	sqlite3_stmt *put[JOURNAL_KINDS], *load[JOURNAL_KINDS], *drop[JOURNAL_KINDS];
	sqlite3_stmt *drop_name, *drop_names;
};

int journal_db_run(sqlite3_stmt *stmt); /* resets it */
int journal_db_execute(struct journal_db *db, const char *sql);
/* The first value that `sql` gives; NULL = none. g_free() it. */
char *journal_db_query(struct journal_db *db, const char *sql, int *ret_rc);
int journal_db_put_meta(struct journal_db *db, const char *key, const char *value);
