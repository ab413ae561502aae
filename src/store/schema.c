/* SPDX-License-Identifier: MIT */
/*
 * Schema and migrations. A step, once released, is never edited: a change is a new step.
 *
 * `message` is what a directory listing needs, narrow, in key order, so that loading a mailbox is
 * one scan; header fields and names have tables of their own. Each row carries a CRC-32 of itself
 * (`sum`), and each box the count and the XOR of its rows, because SQLite does not notice a bit
 * that flipped on the disk.
 */
#include "store/schema.h"

#include <stdio.h>

#include <glib.h>

static const char version_1[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE folder(dir_id INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL,"
	" delimiter INTEGER NOT NULL, flags INTEGER NOT NULL, role TEXT, box INTEGER NOT NULL,"
	" sum INTEGER NOT NULL);"
	"CREATE TABLE box(box INTEGER PRIMARY KEY, uidvalidity INTEGER NOT NULL,"
	" modseq INTEGER NOT NULL, listing_ns INTEGER NOT NULL, messages INTEGER NOT NULL,"
	" unseen INTEGER NOT NULL, row_count INTEGER NOT NULL, row_xor INTEGER NOT NULL,"
	" sum INTEGER NOT NULL);"
	"CREATE TABLE message(box INTEGER NOT NULL, uid INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" bits INTEGER NOT NULL, size INTEGER NOT NULL, date INTEGER NOT NULL,"
	" ctime_ns INTEGER NOT NULL, seen_time INTEGER NOT NULL, name_hash INTEGER NOT NULL,"
	" keywords TEXT, modseq INTEGER NOT NULL, sum INTEGER NOT NULL,"
	" PRIMARY KEY(box, uid)) WITHOUT ROWID;"
	"CREATE TABLE name(box INTEGER NOT NULL, uid INTEGER NOT NULL, name TEXT NOT NULL,"
	" sum INTEGER NOT NULL, PRIMARY KEY(box, uid)) WITHOUT ROWID;"
	"CREATE TABLE detail(box INTEGER NOT NULL, uid INTEGER NOT NULL, subject TEXT,"
	" sender TEXT, sender_name TEXT, recipients TEXT, cc TEXT, message_id TEXT, date TEXT,"
	" head_sum INTEGER, remote_id TEXT, thread_id TEXT, remote_sum INTEGER,"
	" PRIMARY KEY(box, uid)) WITHOUT ROWID;"
	"CREATE TABLE body(box INTEGER NOT NULL, uid INTEGER NOT NULL, is_complete INTEGER NOT NULL,"
	" is_pinned INTEGER NOT NULL, bytes INTEGER NOT NULL, extents BLOB NOT NULL,"
	" sum INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY(box, uid)) WITHOUT ROWID;";

/* Where a body lies: at pack_offset of a pack, or (pack 0) in a file of its own. */
static const char version_2[] =
	"ALTER TABLE body ADD COLUMN pack INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE body ADD COLUMN pack_offset INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX body_pack ON body(pack) WHERE pack > 0;";

/* Messages with the same content, in whatever mailbox. */
static const char version_3[] =
	"CREATE INDEX detail_remote ON detail(remote_id) WHERE remote_id IS NOT NULL;";

const char *const schema_steps[] = {
	version_1,
	version_2,
	version_3,
};
const size_t schema_step_count = G_N_ELEMENTS(schema_steps);

/* -1: not even that can be read. */
static sqlite3_int64 query_number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3_int64 value = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
		sqlite3_step(stmt) == SQLITE_ROW)
		value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

static int run_step(sqlite3 *db, const char *step, size_t version)
{
	char pragmas[128];
	int rc;

	snprintf(pragmas, sizeof(pragmas), "PRAGMA user_version=%zu; PRAGMA application_id=%d;", version,
		SCHEMA_APPLICATION_ID);
	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, step, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, pragmas, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return rc; /* what is open is rolled back when the handle is closed */
}

enum schema_result schema_apply(sqlite3 *db, const char *const *steps, size_t step_count)
{
	sqlite3_int64 version = query_number(db, "PRAGMA user_version");
	sqlite3_int64 id = query_number(db, "PRAGMA application_id");
	sqlite3_int64 tables = query_number(db, "SELECT count(*) FROM sqlite_schema");

	if (version < 0 || id < 0 || tables < 0)
		return SCHEMA_FAILED;
	if (tables == 0 && version == 0)
		id = SCHEMA_APPLICATION_ID;
	if (id != SCHEMA_APPLICATION_ID || (tables > 0 && version == 0))
		return SCHEMA_FOREIGN;
	if ((sqlite3_uint64)version > step_count)
		return SCHEMA_NEWER;

	for (size_t i = (size_t)version; i < step_count; i++) {
		if (run_step(db, steps[i], i + 1) != SQLITE_OK)
			return SCHEMA_FAILED;
	}
	return SCHEMA_OK;
}
