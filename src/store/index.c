/* SPDX-License-Identifier: MIT */
/*
 * Opening the index, transactions, account values, folders. The handle is opened on the loop and
 * then given to the store thread.
 */
#include "store/index_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/schema.h"
#include "store/sum.h"

static const char *const sql[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_META_GET] = "SELECT value, sum FROM meta WHERE key=?",
	[SQL_META_PUT] = "REPLACE INTO meta(key, value, sum) VALUES(?, ?, ?)",
	[SQL_FOLDER_LOAD] = "SELECT dir_id, name, path, delimiter, flags, role, box, sum FROM folder",
	[SQL_FOLDER_CLEAR] = "DELETE FROM folder",
	[SQL_FOLDER_PUT] = "REPLACE INTO folder(dir_id, name, path, delimiter, flags, role, box, sum)"
			   " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_BOX_GET] = "SELECT uidvalidity, modseq, listing_ns, messages, unseen, row_count, row_xor,"
			" sum FROM box WHERE box=?",
	[SQL_BOX_PUT] = "REPLACE INTO box(box, uidvalidity, modseq, listing_ns, messages, unseen,"
			" row_count, row_xor, sum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_BOX_REMOVE] = "DELETE FROM box WHERE box=?",
	[SQL_MESSAGE_MAX] = "SELECT max(uid) FROM message WHERE box=?",
	[SQL_MESSAGE_SUM] = "SELECT sum FROM message WHERE box=? AND uid=?",
	[SQL_MESSAGE_PUT] =
		"INSERT INTO message(box, uid, flags, bits, size, date, ctime_ns, seen_time, name_hash,"
		" keywords, modseq, sum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT(box, uid) DO UPDATE SET flags=excluded.flags, bits=excluded.bits,"
		" size=excluded.size, date=excluded.date, ctime_ns=excluded.ctime_ns,"
		" seen_time=excluded.seen_time, name_hash=excluded.name_hash,"
		" keywords=excluded.keywords, sum=excluded.sum,"
		" modseq=iif(excluded.modseq, excluded.modseq, message.modseq)",
	[SQL_MESSAGE_LOAD] = "SELECT uid, flags, bits, size, date, ctime_ns, seen_time, name_hash,"
			     " keywords, sum, box FROM message WHERE box=? ORDER BY uid",
	[SQL_MESSAGE_RANGE] = "SELECT sum FROM message WHERE box=? AND uid BETWEEN ? AND ?",
	[SQL_MESSAGE_REMOVE] = "DELETE FROM message WHERE box=? AND uid BETWEEN ? AND ?",
	[SQL_NAME_PUT] = "REPLACE INTO name(box, uid, name, sum) VALUES(?, ?, ?, ?)",
	[SQL_KEY_LOAD] = "SELECT uid, remote_id, thread_id, remote_sum FROM detail WHERE box=?"
		" AND remote_id IS NOT NULL ORDER BY uid",
	[SQL_NAME_LOAD] =
		"SELECT uid, name, sum FROM name WHERE box=? AND uid>? ORDER BY uid LIMIT ?",
	[SQL_NAME_REMOVE] = "DELETE FROM name WHERE box=? AND uid BETWEEN ? AND ?",
	[SQL_HEAD_PUT] =
		"INSERT INTO detail(box, uid, subject, sender, sender_name, recipients, cc, message_id,"
		" date, head_sum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT(box, uid) DO UPDATE SET subject=excluded.subject,"
		" sender=excluded.sender, sender_name=excluded.sender_name,"
		" recipients=excluded.recipients, cc=excluded.cc, message_id=excluded.message_id,"
		" date=excluded.date, head_sum=excluded.head_sum",
	[SQL_REMOTE_PUT] =
		"INSERT INTO detail(box, uid, remote_id, thread_id, remote_sum) VALUES(?, ?, ?, ?, ?)"
		" ON CONFLICT(box, uid) DO UPDATE SET remote_id=excluded.remote_id,"
		" thread_id=excluded.thread_id, remote_sum=excluded.remote_sum",
	[SQL_DETAIL_GET] =
		"SELECT m.modseq, n.name, n.sum, d.head_sum, d.subject, d.sender, d.sender_name,"
		" d.recipients, d.cc, d.message_id, d.date, d.remote_id, d.thread_id, d.remote_sum"
		" FROM message m LEFT JOIN name n USING(box, uid) LEFT JOIN detail d USING(box, uid)"
		" WHERE m.box=? AND m.uid=?",
	[SQL_DETAIL_REMOVE] = "DELETE FROM detail WHERE box=? AND uid BETWEEN ? AND ?",
	[SQL_BODY_PUT] = "REPLACE INTO body(box, uid, is_complete, is_pinned, bytes, extents, used,"
			 " pack, pack_offset, sum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_BODY_GET] = "SELECT is_complete, is_pinned, bytes, extents, used, pack, pack_offset, sum"
			 " FROM body WHERE box=? AND uid=?",
	[SQL_BODY_TOUCH] = "UPDATE body SET used=? WHERE box=? AND uid=?",
	[SQL_BODY_REMOVE] = "DELETE FROM body WHERE box=? AND uid=?",
	[SQL_BODY_RANGE] =
		"SELECT box, uid, bytes, pack FROM body WHERE box=? AND uid BETWEEN ? AND ?",
	[SQL_BODY_OLDEST] =
		"SELECT box, uid, bytes, pack FROM body WHERE is_pinned=0 ORDER BY used LIMIT ?",
	[SQL_BODY_SCAN] = "SELECT bytes, used, pack, pack_offset, box, uid FROM body",
	[SQL_BODY_UIDS] = "SELECT uid FROM body WHERE box=?",
	[SQL_BODY_COUNT] = "SELECT box, SUM(is_complete), SUM(is_pinned), SUM(bytes) FROM body"
			   " GROUP BY box ORDER BY box",
	[SQL_BODY_OF_PACK] = "SELECT box, uid, bytes, pack FROM body WHERE pack=? AND pack>0"
			     " AND (box, uid)>(?, ?) ORDER BY box, uid LIMIT ?",
	[SQL_BODY_HAS_PACK] = "SELECT 1 FROM body WHERE pack=? AND pack>0 LIMIT 1",
	[SQL_SAME_LIST] = "SELECT box, uid FROM detail WHERE remote_id=? LIMIT ?",
	[SQL_SAME_UIDS] = "SELECT uid FROM detail AS mine WHERE box=? AND remote_id IS NOT NULL"
			  " AND EXISTS (SELECT 1 FROM detail AS other WHERE other.remote_id=mine.remote_id"
			  " AND (other.box, other.uid)<>(mine.box, mine.uid))",
	[SQL_MESSAGE_GET] = "SELECT size, date FROM message WHERE box=? AND uid=?",
};

/* ---- statements ---------------------------------------------------------------------------- */

sqlite3_stmt *index_stmt(struct index *index, enum index_sql which)
{
	sqlite3_stmt *stmt = index->stmts[which];

	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return stmt;
}

int index_rows_end(sqlite3_stmt *stmt, int rc)
{
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int index_run(sqlite3_stmt *stmt)
{
	return index_rows_end(stmt, sqlite3_step(stmt));
}

void index_bind_text(sqlite3_stmt *stmt, int column, const char *text)
{
	if (text)
		sqlite3_bind_text(stmt, column, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, column);
}

const char *index_text(sqlite3_stmt *stmt, int column)
{
	return (const char *)sqlite3_column_text(stmt, column);
}

/* ---- open, close --------------------------------------------------------------------------- */

/* Exclusive: the lock of the directory says so already, and then SQLite maps no shared memory,
 * which a truncated file could turn into SIGBUS. */
static const char settings[] =
	"PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4000;"
	"PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-2048; PRAGMA temp_store=MEMORY;";

static int prepare_all(struct index *index)
{
	for (size_t i = 0; i < SQL_COUNT; i++) {
		int rc = sqlite3_prepare_v3(index->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
			&index->stmts[i], NULL);

		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

static bool is_out_of_space(struct index *index)
{
	int e = sqlite3_system_errno(index->db);

	return sqlite3_errcode(index->db) == SQLITE_FULL || e == ENOSPC || e == EDQUOT;
}

static int open_db(struct index *index, const char *path)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
		SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
	int rc = sqlite3_open_v2(path, &index->db, flags, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_db_config(index->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return sqlite3_exec(index->db, settings, NULL, NULL, NULL);
}

/* SQLITE_ROW: one row, *ret_text of it; SQLITE_DONE: none. */
static int query_text(struct index *index, const char *query, char **ret_text)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(index->db, query, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret_text = g_strdup(index_text(stmt, 0));
	sqlite3_finalize(stmt);
	return rc;
}

/* What is wrong with it; NULL = nothing. */
static char *check_schema(struct index *index)
{
	switch (schema_apply(index->db, schema_steps, schema_step_count)) {
	case SCHEMA_OK:
		break;
	case SCHEMA_FOREIGN:
		return g_strdup("made by another program");
	case SCHEMA_NEWER:
		return g_strdup("made by a later version");
	case SCHEMA_FAILED:
		return g_strdup(sqlite3_errmsg(index->db));
	}
	return prepare_all(index) == SQLITE_OK ? NULL : g_strdup(sqlite3_errmsg(index->db));
}

static char *check_identity(struct index *index, const char *identity)
{
	g_autofree char *known = NULL;
	bool is_new;

	if (index_get_meta(index, "identity", &known) != SQLITE_OK)
		return g_strdup(sqlite3_errmsg(index->db));
	if (known)
		return strcmp(known, identity) == 0 ? NULL : g_strdup("the cache of another account");

	/* Without identity a file is either new or damaged. */
	is_new = sqlite3_step(index_stmt(index, SQL_FOLDER_LOAD)) == SQLITE_DONE;
	sqlite3_reset(index->stmts[SQL_FOLDER_LOAD]);
	if (!is_new)
		return g_strdup("its identity is unreadable");
	if (index_put_meta(index, "identity", identity) != SQLITE_OK)
		return g_strdup(sqlite3_errmsg(index->db));
	return NULL;
}

/* A bit that flipped in there may let two tables share their pages, or trade two columns. */
static char *check_schema_sum(struct index *index)
{
	g_autofree char *version = NULL, *text = NULL, *now = NULL, *known = NULL;
	int rc = query_text(index, "PRAGMA user_version", &version);

	if (rc == SQLITE_ROW)
		rc = query_text(index,
			"SELECT group_concat(type || name || tbl_name || rootpage || ifnull(sql, ''))"
			" FROM sqlite_schema",
			&text);
	if (rc != SQLITE_ROW || index_get_meta(index, "schema", &known) != SQLITE_OK)
		return g_strdup(sqlite3_errmsg(index->db));
	now = g_strdup_printf("%s %08x", version, sum_text(0, text));
	if (g_strcmp0(known, now) == 0)
		return NULL;
	/* Not known yet, or of before a migration? */
	if (known && strtoul(known, NULL, 10) == strtoul(version, NULL, 10))
		return g_strdup("its tables have changed");
	if (index_put_meta(index, "schema", now) != SQLITE_OK)
		return g_strdup(sqlite3_errmsg(index->db));
	return NULL;
}

int index_open(const char *path, const char *identity, struct index **ret_index, char **ret_why)
{
	struct index *index = g_new0(struct index, 1);
	char *why = NULL;
	int rc;

	index->boxes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	rc = open_db(index, path);
	if (rc != SQLITE_OK)
		why = g_strdup(sqlite3_errmsg(index->db));
	else if (sqlite3_db_readonly(index->db, "main") == 1)
		why = g_strdup("it cannot be written"); /* its header says so, too */
	if (!why)
		why = check_schema(index);
	if (!why)
		why = check_identity(index, identity);
	if (!why)
		why = check_schema_sum(index);
	if (!why) {
		*ret_index = index;
		return SQLITE_OK;
	}

	rc = is_out_of_space(index) ? SQLITE_FULL : SQLITE_CORRUPT;
	index_close(index);
	*ret_why = why;
	return rc;
}

void index_close(struct index *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(index->stmts[i]);
	sqlite3_close(index->db); /* the last handle checkpoints and removes the WAL */
	g_hash_table_destroy(index->boxes);
	g_free(index);
}

const char *index_error(const struct index *index)
{
	return index->wrong ? index->wrong : sqlite3_errmsg(index->db);
}

int index_corrupt(struct index *index)
{
	index->wrong = "its rows are out of order";
	return SQLITE_CORRUPT;
}

int index_check(struct index *index)
{
	g_autofree char *found = NULL;
	int rc = query_text(index, "PRAGMA integrity_check(1)", &found);

	if (rc != SQLITE_ROW)
		return rc;
	return g_strcmp0(found, "ok") == 0 ? SQLITE_OK : index_corrupt(index);
}

/* ---- transactions -------------------------------------------------------------------------- */

int index_begin(struct index *index)
{
	return index_run(index_stmt(index, SQL_BEGIN));
}

int index_commit(struct index *index)
{
	int rc = index_write_boxes(index);

	return rc == SQLITE_OK ? index_run(index_stmt(index, SQL_COMMIT)) : rc;
}

void index_rollback(struct index *index)
{
	if (!sqlite3_get_autocommit(index->db))
		index_run(index_stmt(index, SQL_ROLLBACK));
	g_hash_table_remove_all(index->boxes);
}

/* ---- account values ------------------------------------------------------------------------ */

static uint32_t sum_meta(const char *key, const char *value)
{
	return sum_text(sum_text(0, key), value);
}

int index_get_meta(struct index *index, const char *key, char **ret_value)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_META_GET);
	int rc;

	index_bind_text(stmt, 1, key);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sum_meta(key, index_text(stmt, 0)) == sqlite3_column_int64(stmt, 1))
		*ret_value = g_strdup(index_text(stmt, 0));
	return index_rows_end(stmt, rc);
}

int index_put_meta(struct index *index, const char *key, const char *value)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_META_PUT);

	index_bind_text(stmt, 1, key);
	index_bind_text(stmt, 2, value);
	sqlite3_bind_int64(stmt, 3, sum_meta(key, value));
	return index_run(stmt);
}

/* ---- folders ------------------------------------------------------------------------------- */

struct store_folder *store_folder_new(const char *name)
{
	struct store_folder *folder = g_new0(struct store_folder, 1);

	folder->name = g_strdup(name);
	return folder;
}

void store_folder_free(gpointer data)
{
	struct store_folder *folder = data;

	g_free(folder->name);
	g_free(folder->path);
	g_free(folder->role);
	g_free(folder);
}

static uint32_t sum_folder(const struct store_folder *folder)
{
	uint32_t sum = sum_numbers(0, folder->dir_id, (uint8_t)folder->delimiter, folder->flags,
		folder->box_id);

	return sum_text(sum_text(sum_text(sum, folder->name), folder->path), folder->role);
}

/* NULL: the row is damaged. */
static struct store_folder *read_folder(sqlite3_stmt *stmt)
{
	struct store_folder *folder;

	if (!index_text(stmt, 1) || !index_text(stmt, 2))
		return NULL;
	folder = store_folder_new(index_text(stmt, 1));
	folder->dir_id = (uint32_t)sqlite3_column_int64(stmt, 0);
	folder->path = g_strdup(index_text(stmt, 2));
	folder->delimiter = (char)sqlite3_column_int(stmt, 3);
	folder->flags = (unsigned)sqlite3_column_int64(stmt, 4);
	folder->role = g_strdup(index_text(stmt, 5));
	folder->box_id = (uint32_t)sqlite3_column_int64(stmt, 6);
	if (sum_folder(folder) == sqlite3_column_int64(stmt, 7))
		return folder;
	store_folder_free(folder);
	return NULL;
}

static int add_box_state(struct index *index, struct store_folder *folder)
{
	int rc = SQLITE_OK;
	struct index_box *box;

	if (folder->box_id == 0)
		return SQLITE_OK;
	box = index_box(index, folder->box_id, &rc);
	if (!box)
		return rc;
	if (!box->is_known) {
		folder->box_id = 0;
		return SQLITE_OK;
	}
	folder->uidvalidity = box->uidvalidity;
	folder->modseq = box->state.modseq;
	folder->listing_ns = box->state.listing_ns;
	folder->messages = box->state.messages;
	folder->unseen = box->state.unseen;
	return SQLITE_OK;
}

int index_load_folders(struct index *index, GPtrArray *folders)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_FOLDER_LOAD);
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct store_folder *folder = read_folder(stmt);

		if (folder)
			g_ptr_array_add(folders, folder);
	}
	rc = index_rows_end(stmt, rc);
	for (guint i = 0; rc == SQLITE_OK && i < folders->len; i++)
		rc = add_box_state(index, g_ptr_array_index(folders, i));
	return rc;
}

static int put_folder(struct index *index, const struct store_folder *folder)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_FOLDER_PUT);

	sqlite3_bind_int64(stmt, 1, folder->dir_id);
	index_bind_text(stmt, 2, folder->name);
	index_bind_text(stmt, 3, folder->path);
	sqlite3_bind_int64(stmt, 4, (uint8_t)folder->delimiter);
	sqlite3_bind_int64(stmt, 5, folder->flags);
	index_bind_text(stmt, 6, folder->role);
	sqlite3_bind_int64(stmt, 7, folder->box_id);
	sqlite3_bind_int64(stmt, 8, sum_folder(folder));
	return index_run(stmt);
}

int index_put_folders(struct index *index, const GPtrArray *folders, bool is_whole)
{
	int rc = is_whole ? index_run(index_stmt(index, SQL_FOLDER_CLEAR)) : SQLITE_OK;

	for (guint i = 0; rc == SQLITE_OK && i < folders->len; i++)
		rc = put_folder(index, g_ptr_array_index(folders, i));
	return rc;
}
