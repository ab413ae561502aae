/* SPDX-License-Identifier: MIT */
/*
 * The journal's file: making it, opening it, what it must say to be ours.
 */
#include "store/journal_db_impl.h"

#include <errno.h>
#include <string.h>

#include "store/sum.h"

#define APPLICATION_ID 0x6d616a6f /* "majo" */
#define VERSION        3

/* ---- statements ------------------------------------------------------------------------------ */

int journal_db_run(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int journal_db_execute(struct journal_db *db, const char *sql)
{
	return sqlite3_exec(db->db, sql, NULL, NULL, NULL);
}

static int prepare(struct journal_db *db, const char *sql, sqlite3_stmt **ret_stmt)
{
	return sqlite3_prepare_v3(db->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);
}

/* Columns that a file of before does not have are 0. */
static void append_columns(GString *sql, const struct journal_table *table, int version)
{
	for (size_t i = 0; i < table->column_count; i++)
		g_string_append_printf(sql, "%s, ",
			table->columns[i].since > version ? "0" : table->columns[i].name);
	g_string_append(sql, "sum");
}

static int prepare_rows(struct journal_db *db, enum journal_kind kind)
{
	const struct journal_table *table = &journal_tables[kind];
	g_autoptr(GString) put = g_string_new(NULL);
	g_autoptr(GString) load = g_string_new("SELECT ");
	g_autofree char *drop = g_strdup_printf("DELETE FROM %s WHERE rowid=?", table->name);
	int rc;

	g_string_append_printf(put, "REPLACE INTO %s(", table->name);
	append_columns(put, table, VERSION);
	g_string_append(put, ") VALUES(");
	for (size_t i = 0; i < table->column_count; i++)
		g_string_append(put, "?, ");
	g_string_append(put, "?)");

	append_columns(load, table, db->version);
	g_string_append_printf(load, ", rowid FROM %s ORDER BY rowid", table->name);

	rc = db->is_read_only ? SQLITE_OK : prepare(db, put->str, &db->put[kind]);
	if (rc == SQLITE_OK)
		rc = prepare(db, load->str, &db->load[kind]);
	if (rc == SQLITE_OK)
		rc = prepare(db, drop, &db->drop[kind]);
	return rc;
}

static int prepare_table(struct journal_db *db, enum journal_kind kind)
{
	/* Read-only, and of before. */
	if (journal_tables[kind].since > db->version)
		return SQLITE_OK;
	return prepare_rows(db, kind);
}

static int prepare_all(struct journal_db *db)
{
	int rc = SQLITE_OK;

	for (int kind = 0; rc == SQLITE_OK && kind < JOURNAL_KINDS; kind++)
		rc = prepare_table(db, (enum journal_kind)kind);
	if (rc == SQLITE_OK)
		rc = prepare(db, "DELETE FROM name WHERE folder=? AND uidvalidity=? AND uid=?",
			&db->drop_name);
	if (rc == SQLITE_OK)
		rc = prepare(db, "DELETE FROM name WHERE folder=?1 AND (?2=0 OR uidvalidity<>?2)",
			&db->drop_names);
	return rc;
}

/* ---- making it ------------------------------------------------------------------------------- */

static const char *type_name(enum journal_type type)
{
	switch (type) {
	case JOURNAL_TEXT:
		return "TEXT";
	case JOURNAL_SHA256:
		return "BLOB";
	default:
		return "INTEGER";
	}
}

int journal_db_put_meta(struct journal_db *db, const char *key, const char *value)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(
		db->db, "REPLACE INTO meta(key, value, sum) VALUES(?, ?, ?)", -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
		sqlite3_bind_text(stmt, 2, value, -1, SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 3, sum_text(sum_text(0, key), value));
		rc = journal_db_run(stmt);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static void append_table(GString *sql, const struct journal_table *table)
{
	g_string_append_printf(sql, "CREATE TABLE %s(", table->name);
	for (size_t i = 0; i < table->column_count; i++)
		g_string_append_printf(sql, "%s %s, ", table->columns[i].name,
			type_name(table->columns[i].type));
	g_string_append_printf(sql, "sum INTEGER NOT NULL, %s);", table->key);
}

static int create_tables(struct journal_db *db, const char *identity)
{
	g_autoptr(GString) sql = g_string_new(
		"BEGIN IMMEDIATE;"
		"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL);"
		"CREATE TABLE damaged(kind TEXT NOT NULL, id INTEGER NOT NULL, content TEXT NOT NULL);");
	int rc;

	for (int kind = 0; kind < JOURNAL_KINDS; kind++)
		append_table(sql, &journal_tables[kind]);
	g_string_append_printf(
		sql, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION_ID, VERSION);
	rc = journal_db_execute(db, sql->str);
	if (rc == SQLITE_OK)
		rc = journal_db_put_meta(db, "identity", identity);
	return rc == SQLITE_OK ? journal_db_execute(db, "COMMIT") : rc;
}

int journal_db_create(const char *path, const char *identity, char **ret_why)
{
	struct journal_db *db = g_new0(struct journal_db, 1);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
		    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
	int rc = sqlite3_open_v2(path, &db->db, flags, NULL);

	if (rc == SQLITE_OK)
		rc = journal_db_execute(db, "PRAGMA synchronous=FULL");
	if (rc == SQLITE_OK)
		rc = create_tables(db, identity);
	if (rc != SQLITE_OK) {
		*ret_why = g_strdup(sqlite3_errmsg(db->db));
		rc = journal_db_is_full(db, rc) ? SQLITE_FULL : rc;
	}
	journal_db_close(db);
	return rc;
}

/* ---- opening it ------------------------------------------------------------------------------ */

/* Exclusive: no shared memory is mapped, which a truncated file could turn into SIGBUS. */
static const char settings[] =
	"PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
	"PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=16777216; PRAGMA cache_size=-1024;"
	"PRAGMA temp_store=MEMORY;";

static int open_handle(struct journal_db *db, const char *path)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
		    SQLITE_OPEN_EXRESCODE;
	int rc = sqlite3_open_v2(path, &db->db, flags, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_db_config(db->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (db->is_read_only)
		sqlite3_db_config(db->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	rc = journal_db_execute(db, settings);
	if (rc == SQLITE_OK)
		rc = journal_db_execute(
			db, db->is_read_only ? "PRAGMA query_only=ON" : "PRAGMA journal_mode=WAL");
	return rc;
}

/* The first value that `sql` gives; NULL = none. */
char *journal_db_query(struct journal_db *db, const char *sql, int *ret_rc)
{
	sqlite3_stmt *stmt = NULL;
	char *text = NULL;
	int rc = sqlite3_prepare_v2(db->db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_ROW)
			text = g_strdup((const char *)sqlite3_column_text(stmt, 0));
	}
	sqlite3_finalize(stmt);
	*ret_rc = rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
	return text;
}

static int check_versions(struct journal_db *db, char **ret_why)
{
	int rc;
	g_autofree char *check = journal_db_query(db, "PRAGMA quick_check(1)", &rc);
	g_autofree char *id =
		rc == SQLITE_OK ? journal_db_query(db, "PRAGMA application_id", &rc) : NULL;
	g_autofree char *version =
		rc == SQLITE_OK ? journal_db_query(db, "PRAGMA user_version", &rc) : NULL;
	guint64 number = version ? g_ascii_strtoull(version, NULL, 10) : 0;

	if (rc != SQLITE_OK)
		return rc;
	if (g_strcmp0(check, "ok") != 0)
		*ret_why = g_strdup_printf("it is damaged: %s", check ? check : "");
	else if (!id || g_ascii_strtoull(id, NULL, 10) != APPLICATION_ID || number == 0)
		*ret_why = g_strdup("it was made by another program");
	else if (number > VERSION)
		*ret_why = g_strdup("it was made by a later version");
	db->version = (int)number;
	return *ret_why ? SQLITE_CORRUPT : SQLITE_OK;
}

/* One of a former version gets the tables and columns that have come since. */
static int upgrade(struct journal_db *db)
{
	g_autoptr(GString) sql = g_string_new("BEGIN IMMEDIATE;");

	if (db->version == VERSION || db->is_read_only)
		return SQLITE_OK;
	for (int kind = 0; kind < JOURNAL_KINDS; kind++) {
		const struct journal_table *table = &journal_tables[kind];

		if (table->since > db->version) {
			append_table(sql, table);
			continue;
		}
		for (size_t i = 0; i < table->column_count; i++) {
			if (table->columns[i].since > db->version)
				g_string_append_printf(sql,
					"ALTER TABLE %s ADD COLUMN %s INTEGER DEFAULT 0;", table->name,
					table->columns[i].name);
		}
	}
	g_string_append_printf(sql, "PRAGMA user_version=%d; COMMIT", VERSION);
	db->version = VERSION;
	return journal_db_execute(db, sql->str);
}

/* The account has moved to another server. Only names are left, which mean nothing there. */
static int adopt(struct journal_db *db, const char *identity)
{
	int rc = journal_db_execute(db, "BEGIN IMMEDIATE; DELETE FROM name");

	if (rc == SQLITE_OK)
		rc = journal_db_put_meta(db, "identity", identity);
	return rc == SQLITE_OK ? journal_db_execute(db, "COMMIT") : rc;
}

#define HAS_PENDING                                                                                \
	"SELECT EXISTS(SELECT 1 FROM flags) OR EXISTS(SELECT 1 FROM move)"                         \
	" OR EXISTS(SELECT 1 FROM draft) OR EXISTS(SELECT 1 FROM damaged)"

static int check_identity(struct journal_db *db, const char *identity, char **ret_why)
{
	g_autofree char *pending = NULL;
	int rc;
	g_autofree char *known =
		journal_db_query(db, "SELECT value FROM meta WHERE key='identity'", &rc);

	if (rc == SQLITE_OK && !known) {
		*ret_why = g_strdup("it does not say whose it is");
		return SQLITE_CORRUPT;
	}
	if (rc != SQLITE_OK || strcmp(known, identity) == 0)
		return rc;
	pending = journal_db_query(db, db->version >= 3
		? HAS_PENDING " OR EXISTS(SELECT 1 FROM kept)" : HAS_PENDING, &rc);
	if (rc == SQLITE_OK && !db->is_read_only && g_strcmp0(pending, "0") == 0)
		return adopt(db, identity);
	*ret_why = g_strdup_printf("it holds changes for %s, not for %s", known, identity);
	return rc == SQLITE_OK ? SQLITE_AUTH : rc;
}

int journal_db_open(const char *path, const char *identity, bool is_read_only,
	struct journal_db **ret_db, char **ret_why)
{
	struct journal_db *db = g_new0(struct journal_db, 1);
	char *why = NULL;
	int rc;

	db->is_read_only = is_read_only;
	rc = open_handle(db, path);
	if (rc == SQLITE_OK)
		rc = check_versions(db, &why);
	if (rc == SQLITE_OK)
		rc = check_identity(db, identity, &why);
	if (rc == SQLITE_OK)
		rc = upgrade(db);
	if (rc == SQLITE_OK)
		rc = prepare_all(db);
	if (rc == SQLITE_OK) {
		*ret_db = db;
		return rc;
	}
	*ret_why = why ? why : g_strdup(sqlite3_errmsg(db->db));
	if (journal_db_is_full(db, rc))
		rc = SQLITE_FULL;
	journal_db_close(db);
	return rc;
}

void journal_db_close(struct journal_db *db)
{
	if (!db)
		return;
	for (int kind = 0; kind < JOURNAL_KINDS; kind++) {
		sqlite3_finalize(db->put[kind]);
		sqlite3_finalize(db->load[kind]);
		sqlite3_finalize(db->drop[kind]);
	}
	sqlite3_finalize(db->drop_name);
	sqlite3_finalize(db->drop_names);
	sqlite3_close(db->db);
	g_free(db);
}

const char *journal_db_error(const struct journal_db *db)
{
	return sqlite3_errmsg(db->db);
}

bool journal_db_is_full(const struct journal_db *db, int rc)
{
	int e = sqlite3_system_errno(db->db);

	if ((rc & 0xff) == SQLITE_FULL)
		return true;
	/* Not after an fsync: what it failed to write may be lost for ever. */
	return (rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_FSYNC &&
	       rc != SQLITE_IOERR_DIR_FSYNC && (e == ENOSPC || e == EDQUOT);
}
