/* SPDX-License-Identifier: MIT */
/*
 * The same message in several mailboxes. Store thread. An equal remote id (EMAILID, X-GM-MSGID,
 * UIDL) promises equal bytes and all else that cannot change (RFC 8474 §4), so size and
 * INTERNALDATE must be equal, too: a server that gives one id to different messages is found out
 * by most of them.
 */
#include "store/index_impl.h"

#include <string.h>

/* Of a message that is in more mailboxes some are not found: they are fetched. */
#define COPIES_MAX 16u

static uint64_t key_of(uint32_t box, uint32_t uid)
{
	return (uint64_t)box << 32 | uid;
}

int index_list_same(struct index *index, const char *remote_id, unsigned limit, GArray *keys)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_SAME_LIST);
	int rc;

	index_bind_text(stmt, 1, remote_id);
	sqlite3_bind_int64(stmt, 2, limit);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint64_t key = key_of((uint32_t)sqlite3_column_int64(stmt, 0),
			(uint32_t)sqlite3_column_int64(stmt, 1));

		g_array_append_val(keys, key);
	}
	return index_rows_end(stmt, rc);
}

int index_list_same_uids(struct index *index, uint32_t box, GArray *uids)
{
	return index_list_uids(index, SQL_SAME_UIDS, box, uids);
}

/* ---- a whole body elsewhere ---------------------------------------------------------------- */

struct content {
	bool is_known;
	uint64_t size;
	int64_t date;
	char *remote_id; /* NULL = none */
};

static int load_content(struct index *index, uint64_t key, struct content *ret)
{
	uint32_t box = (uint32_t)(key >> 32), uid = (uint32_t)key;
	sqlite3_stmt *stmt = index_stmt(index, SQL_MESSAGE_GET);
	struct index_details details = { 0 };
	int rc;

	sqlite3_bind_int64(stmt, 1, box);
	sqlite3_bind_int64(stmt, 2, uid);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		ret->is_known = true;
		ret->size = (uint64_t)sqlite3_column_int64(stmt, 0);
		ret->date = sqlite3_column_int64(stmt, 1);
	}
	rc = index_rows_end(stmt, rc);
	if (rc == SQLITE_OK)
		rc = index_load_details(index, box, uid, &details);
	ret->remote_id = g_steal_pointer(&details.remote_id);
	index_details_done(&details);
	return rc;
}

static int check_copy(struct index *index, const struct content *mine, uint64_t key,
	struct index_copies *copies)
{
	struct content other = { 0 };
	struct index_body body = { 0 };
	bool has_body = false;
	int rc = load_content(index, key, &other);

	if (rc == SQLITE_OK && other.is_known && other.size == mine->size &&
		other.date == mine->date && g_strcmp0(other.remote_id, mine->remote_id) == 0) {
		g_array_append_val(copies->keys, key);
		if (!copies->body.extents)
			rc = index_load_body(index, (uint32_t)(key >> 32), (uint32_t)key, &body,
				&has_body);
	}
	g_free(other.remote_id);
	if (has_body && body.is_complete && body.bytes == mine->size)
		copies->body = body;
	else
		g_clear_pointer(&body.extents, g_bytes_unref);
	return rc;
}

int index_find_copies(struct index *index, uint32_t box, uint32_t uid, struct index_copies *ret)
{
	g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct content mine = { 0 };
	int rc = load_content(index, key_of(box, uid), &mine);

	if (rc == SQLITE_OK && mine.is_known && mine.remote_id)
		rc = index_list_same(index, mine.remote_id, COPIES_MAX + 1, keys);
	if (keys->len > 1) {
		ret->size = mine.size;
		ret->keys = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	}
	for (guint i = 0; rc == SQLITE_OK && ret->keys && i < keys->len; i++) {
		uint64_t key = g_array_index(keys, uint64_t, i);

		if (key != key_of(box, uid))
			rc = check_copy(index, &mine, key, ret);
	}
	g_free(mine.remote_id);
	return rc;
}

void index_copies_done(struct index_copies *copies)
{
	g_clear_pointer(&copies->keys, g_array_unref);
	g_clear_pointer(&copies->body.extents, g_bytes_unref);
}
