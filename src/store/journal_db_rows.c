/* SPDX-License-Identifier: MIT */
/*
 * The rows of the journal and its transactions. One that must survive a power cut is committed with
 * synchronous=FULL, others with NORMAL (no fsync), so that they cost nothing but a write.
 */
#include "store/journal_db_impl.h"

#include <string.h>

/* ---- reading --------------------------------------------------------------------------------- */

static void read_column(sqlite3_stmt *stmt, int at, const struct journal_column *column, void *row)
{
	void *field = journal_field(row, column);
	sqlite3_int64 number;
	uint32_t number32;

	switch (column->type) {
	case JOURNAL_U32:
		number32 = (uint32_t)sqlite3_column_int64(stmt, at);
		memcpy(field, &number32, sizeof(number32));
		break;
	case JOURNAL_BOOL:
		*(bool *)field = sqlite3_column_int(stmt, at) != 0;
		break;
	case JOURNAL_64:
		number = sqlite3_column_int64(stmt, at);
		memcpy(field, &number, sizeof(number));
		break;
	case JOURNAL_TEXT:
		*(char **)field = g_strdup((const char *)sqlite3_column_text(stmt, at));
		break;
	case JOURNAL_SHA256:
		if (sqlite3_column_bytes(stmt, at) == 32)
			memcpy(field, sqlite3_column_blob(stmt, at), 32);
		break;
	}
}

static int load_kind(
	struct journal_db *db, enum journal_kind kind, GPtrArray *rows, GArray *damaged)
{
	const struct journal_table *table = &journal_tables[kind];
	sqlite3_stmt *stmt = db->load[kind];
	int at = (int)table->column_count;
	int rc;

	if (!stmt)
		return SQLITE_OK;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		void *row = g_malloc0(table->row_size);
		sqlite3_int64 rowid = sqlite3_column_int64(stmt, at + 1);

		for (int i = 0; i < at; i++)
			read_column(stmt, i, &table->columns[i], row);
		if (journal_row_sum(kind, row) == sqlite3_column_int64(stmt, at)) {
			g_ptr_array_add(rows, row);
			continue;
		}
		journal_row_free(kind, row);
		g_array_append_val(damaged, rowid);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Into the table of those that nobody can believe: a person may. */
static int set_aside(struct journal_db *db, enum journal_kind kind, sqlite3_int64 rowid)
{
	const struct journal_table *table = &journal_tables[kind];
	g_autoptr(GString) sql = g_string_new("INSERT INTO damaged(kind, id, content) SELECT ");
	g_autofree char *drop =
		g_strdup_printf("DELETE FROM %s WHERE rowid=%lld", table->name, (long long)rowid);
	int rc;

	g_string_append_printf(sql, "'%s', rowid, ", table->name);
	for (size_t i = 0; i < table->column_count; i++)
		g_string_append_printf(sql, "'%s=' || quote(%s) || ' ' || ", table->columns[i].name,
			table->columns[i].name);
	g_string_append_printf(sql, "'' FROM %s WHERE rowid=%lld", table->name, (long long)rowid);
	rc = journal_db_execute(db, sql->str);
	return rc == SQLITE_OK ? journal_db_execute(db, drop) : rc;
}

static int set_all_aside(struct journal_db *db, enum journal_kind kind, const GArray *damaged)
{
	int rc = journal_db_begin(db, true);

	for (guint i = 0; rc == SQLITE_OK && i < damaged->len; i++)
		rc = set_aside(db, kind, g_array_index(damaged, sqlite3_int64, i));
	return rc == SQLITE_OK ? journal_db_commit(db) : rc;
}

int journal_db_load(
	struct journal_db *db, GPtrArray *const rows[JOURNAL_KINDS], unsigned *ret_damaged)
{
	int rc = SQLITE_OK;

	*ret_damaged = 0;
	for (int i = 0; rc == SQLITE_OK && i < JOURNAL_KINDS; i++) {
		enum journal_kind kind = (enum journal_kind)i;
		g_autoptr(GArray) damaged = g_array_new(FALSE, FALSE, sizeof(sqlite3_int64));

		rc = load_kind(db, kind, rows[kind], damaged);
		if (rc == SQLITE_OK && damaged->len > 0 && !db->is_read_only)
			rc = set_all_aside(db, kind, damaged);
		*ret_damaged += damaged->len;
	}
	return rc;
}

int journal_db_damaged_drafts(struct journal_db *db, GArray *ids)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(
		db->db, "SELECT id FROM damaged WHERE kind IN ('draft', 'kept')", -1, &stmt, NULL);

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint64_t id = (uint64_t)sqlite3_column_int64(stmt, 0);

		g_array_append_val(ids, id);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int journal_db_get_next_id(struct journal_db *db, uint64_t *ret_id)
{
	int rc;
	g_autofree char *text =
		journal_db_query(db, "SELECT value FROM meta WHERE key='next_id'", &rc);

	if (rc == SQLITE_OK)
		*ret_id = text ? g_ascii_strtoull(text, NULL, 10) : 1;
	return rc;
}

/* ---- writing --------------------------------------------------------------------------------- */

int journal_db_begin(struct journal_db *db, bool is_synced)
{
	int rc = SQLITE_OK;

	if (is_synced != db->is_synced)
		rc = journal_db_execute(
			db, is_synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
	if (rc != SQLITE_OK)
		return rc;
	db->is_synced = is_synced;
	return journal_db_execute(db, "BEGIN IMMEDIATE");
}

int journal_db_commit(struct journal_db *db)
{
	return journal_db_execute(db, "COMMIT");
}

void journal_db_rollback(struct journal_db *db)
{
	if (!sqlite3_get_autocommit(db->db))
		journal_db_execute(db, "ROLLBACK");
}

int journal_db_set_next_id(struct journal_db *db, uint64_t id)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, id);

	return journal_db_put_meta(db, "next_id", text);
}

static void bind_column(
	sqlite3_stmt *stmt, int at, const struct journal_column *column, const void *row)
{
	const void *field = journal_field_const(row, column);

	switch (column->type) {
	case JOURNAL_U32:
		sqlite3_bind_int64(stmt, at, *(const uint32_t *)field);
		break;
	case JOURNAL_BOOL:
		sqlite3_bind_int(stmt, at, *(const bool *)field ? 1 : 0);
		break;
	case JOURNAL_64:
		sqlite3_bind_int64(stmt, at, *(const sqlite3_int64 *)field);
		break;
	case JOURNAL_TEXT:
		sqlite3_bind_text(stmt, at, *(char *const *)field, -1, SQLITE_STATIC);
		break;
	case JOURNAL_SHA256:
		sqlite3_bind_blob(stmt, at, field, 32, SQLITE_STATIC);
		break;
	}
}

int journal_db_put(struct journal_db *db, enum journal_kind kind, const void *row)
{
	const struct journal_table *table = &journal_tables[kind];
	sqlite3_stmt *stmt = db->put[kind];

	for (size_t i = 0; i < table->column_count; i++)
		bind_column(stmt, (int)i + 1, &table->columns[i], row);
	sqlite3_bind_int64(stmt, (int)table->column_count + 1, journal_row_sum(kind, row));
	return journal_db_run(stmt);
}

int journal_db_drop(struct journal_db *db, uint64_t id)
{
	int rc = SQLITE_OK;

	for (int kind = 0; rc == SQLITE_OK && kind < JOURNAL_KINDS; kind++) {
		if (!journal_tables[kind].has_id)
			continue;
		sqlite3_bind_int64(db->drop[kind], 1, (sqlite3_int64)id);
		rc = journal_db_run(db->drop[kind]);
	}
	return rc;
}

int journal_db_drop_name(
	struct journal_db *db, const char *folder, uint32_t uidvalidity, uint32_t uid)
{
	sqlite3_bind_text(db->drop_name, 1, folder, -1, SQLITE_STATIC);
	sqlite3_bind_int64(db->drop_name, 2, uidvalidity);
	sqlite3_bind_int64(db->drop_name, 3, uid);
	return journal_db_run(db->drop_name);
}

int journal_db_drop_names(struct journal_db *db, const char *folder, uint32_t uidvalidity_kept)
{
	sqlite3_bind_text(db->drop_names, 1, folder, -1, SQLITE_STATIC);
	sqlite3_bind_int64(db->drop_names, 2, uidvalidity_kept);
	return journal_db_run(db->drop_names);
}

/* NULL: the folder is another. */
static char *renamed(const char *folder, const char *from, const char *to, char delimiter)
{
	size_t len = strlen(from);

	if (!folder || strncmp(folder, from, len) != 0)
		return NULL;
	if (folder[len] == '\0')
		return g_strdup(to);
	return delimiter != '\0' && folder[len] == delimiter ? g_strconcat(to, folder + len, NULL)
							     : NULL;
}

static bool rename_in_row(const struct journal_table *table, void *row, const char *from,
	const char *to, char delimiter)
{
	bool has_changed = false;

	for (size_t i = 0; i < table->column_count; i++) {
		char **text = journal_field(row, &table->columns[i]);
		char *other;

		if (!table->columns[i].is_folder)
			continue;
		other = renamed(*text, from, to, delimiter);
		if (!other)
			continue;
		g_free(*text);
		*text = other;
		has_changed = true;
	}
	return has_changed;
}

static int rename_one(struct journal_db *db, enum journal_kind kind, void *row, const char *from,
	const char *to, char delimiter)
{
	const struct journal_name *name = row;
	g_autofree char *folder = kind == JOURNAL_KIND_NAME ? g_strdup(name->folder) : NULL;
	int rc = SQLITE_OK;

	if (!rename_in_row(&journal_tables[kind], row, from, to, delimiter))
		return SQLITE_OK;
	if (kind == JOURNAL_KIND_NAME)
		rc = journal_db_drop_name(db, folder, name->uidvalidity, name->uid);
	return rc == SQLITE_OK ? journal_db_put(db, kind, row) : rc;
}

int journal_db_rename_folder(
	struct journal_db *db, const char *from, const char *to, char delimiter)
{
	int rc = SQLITE_OK;

	for (int i = 0; rc == SQLITE_OK && i < JOURNAL_KINDS; i++) {
		enum journal_kind kind = (enum journal_kind)i;
		g_autoptr(GArray) damaged = g_array_new(FALSE, FALSE, sizeof(sqlite3_int64));
		g_autoptr(GPtrArray) rows = g_ptr_array_new();

		rc = load_kind(db, kind, rows, damaged);
		for (guint j = 0; j < rows->len; j++) {
			if (rc == SQLITE_OK)
				rc = rename_one(db, kind, rows->pdata[j], from, to, delimiter);
			journal_row_free(kind, rows->pdata[j]);
		}
	}
	return rc;
}
