/* SPDX-License-Identifier: MIT */
/*
 * Rows about bodies: which bytes lie on disk, and when they were used last. Store thread. `used`
 * is outside of the checksum, because it changes alone and does no harm when wrong.
 */
#include "store/index_impl.h"

#include "store/sum.h"

static uint32_t sum_body(const struct index_body *body, const void *extents, size_t len)
{
	uint32_t sum = sum_bytes(sum_numbers(0, body->box, body->uid, body->is_complete,
					 body->is_pinned, body->bytes),
		extents, len);

	/* Rows of before there were packs stay valid. */
	return body->pack == 0 ? sum : sum_numbers(sum, body->pack, body->pack_offset);
}

int index_put_body(struct index *index, const struct index_body *body)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_PUT);
	gsize len;
	const void *extents = g_bytes_get_data(body->extents, &len);

	sqlite3_bind_int64(stmt, 1, body->box);
	sqlite3_bind_int64(stmt, 2, body->uid);
	sqlite3_bind_int64(stmt, 3, body->is_complete);
	sqlite3_bind_int64(stmt, 4, body->is_pinned);
	sqlite3_bind_int64(stmt, 5, (sqlite3_int64)body->bytes);
	sqlite3_bind_blob64(stmt, 6, len > 0 ? extents : "", len, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 7, (sqlite3_int64)body->used);
	sqlite3_bind_int64(stmt, 8, body->pack);
	sqlite3_bind_int64(stmt, 9, (sqlite3_int64)body->pack_offset);
	sqlite3_bind_int64(stmt, 10, sum_body(body, extents, len));
	return index_run(stmt);
}

static bool read_body(sqlite3_stmt *stmt, struct index_body *body)
{
	const void *extents = sqlite3_column_blob(stmt, 3);
	size_t len = (size_t)sqlite3_column_bytes(stmt, 3);

	body->is_complete = sqlite3_column_int(stmt, 0) != 0;
	body->is_pinned = sqlite3_column_int(stmt, 1) != 0;
	body->bytes = (uint64_t)sqlite3_column_int64(stmt, 2);
	body->used = (uint64_t)sqlite3_column_int64(stmt, 4);
	body->pack = (uint32_t)sqlite3_column_int64(stmt, 5);
	body->pack_offset = (uint64_t)sqlite3_column_int64(stmt, 6);
	if (sum_body(body, extents, len) != sqlite3_column_int64(stmt, 7))
		return false;
	body->extents = g_bytes_new(extents, len);
	return true;
}

int index_load_body(struct index *index, uint32_t box, uint32_t uid, struct index_body *ret,
	bool *ret_is_known)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_GET);
	struct index_body body = { .box = box, .uid = uid };
	int rc;

	sqlite3_bind_int64(stmt, 1, box);
	sqlite3_bind_int64(stmt, 2, uid);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && read_body(stmt, &body)) {
		*ret = body;
		*ret_is_known = true;
	}
	return index_rows_end(stmt, rc);
}

int index_touch_body(struct index *index, uint32_t box, uint32_t uid, uint64_t used)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_TOUCH);

	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)used);
	sqlite3_bind_int64(stmt, 2, box);
	sqlite3_bind_int64(stmt, 3, uid);
	return index_run(stmt);
}

int index_remove_body(struct index *index, uint32_t box, uint32_t uid)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_REMOVE);

	sqlite3_bind_int64(stmt, 1, box);
	sqlite3_bind_int64(stmt, 2, uid);
	return index_run(stmt);
}

static void append_body(sqlite3_stmt *stmt, GArray *bodies)
{
	sqlite3_int64 bytes = sqlite3_column_int64(stmt, 2);
	struct index_body body = {
		.box = (uint32_t)sqlite3_column_int64(stmt, 0),
		.uid = (uint32_t)sqlite3_column_int64(stmt, 1),
		.bytes = bytes > 0 ? (uint64_t)bytes : 0,
		.pack = (uint32_t)sqlite3_column_int64(stmt, 3),
	};

	g_array_append_val(bodies, body);
}

int index_list_bodies(struct index *index, uint32_t box, uint32_t first, uint32_t last,
	GArray *bodies)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_RANGE);
	int rc;

	sqlite3_bind_int64(stmt, 1, box);
	sqlite3_bind_int64(stmt, 2, first);
	sqlite3_bind_int64(stmt, 3, last);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		append_body(stmt, bodies);
	return index_rows_end(stmt, rc);
}

int index_oldest_bodies(struct index *index, uint64_t bytes, size_t limit, GArray *bodies)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_OLDEST);
	uint64_t found = 0;
	int rc;

	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)limit);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		append_body(stmt, bodies);
		found += g_array_index(bodies, struct index_body, bodies->len - 1).bytes;
		if (found >= bytes)
			break;
	}
	return index_rows_end(stmt, rc);
}

int index_list_uids(struct index *index, enum index_sql sql, uint32_t box, GArray *uids)
{
	sqlite3_stmt *stmt = index_stmt(index, sql);
	int rc;

	sqlite3_bind_int64(stmt, 1, box);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint32_t uid = (uint32_t)sqlite3_column_int64(stmt, 0);

		g_array_append_val(uids, uid);
	}
	return index_rows_end(stmt, rc);
}

int index_list_body_uids(struct index *index, uint32_t box, GArray *uids)
{
	return index_list_uids(index, SQL_BODY_UIDS, box, uids);
}

int index_count_bodies(struct index *index, GArray *counts)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_COUNT);
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct store_count count = {
			.box = (uint32_t)sqlite3_column_int64(stmt, 0),
			.cached = (uint32_t)sqlite3_column_int64(stmt, 1),
			.pinned = (uint32_t)sqlite3_column_int64(stmt, 2),
			.bytes = (uint64_t)sqlite3_column_int64(stmt, 3),
		};

		g_array_append_val(counts, count);
	}
	return index_rows_end(stmt, rc);
}

int index_scan_bodies(struct index *index, index_body_fn fn, void *user)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_SCAN);
	uint64_t before = 0;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		sqlite3_int64 bytes = sqlite3_column_int64(stmt, 0);
		uint64_t key = (uint64_t)sqlite3_column_int64(stmt, 4) << 32 |
			(uint32_t)sqlite3_column_int64(stmt, 5);
		struct index_body body = {
			.bytes = bytes > 0 ? (uint64_t)bytes : 0,
			.used = (uint64_t)sqlite3_column_int64(stmt, 1),
			.pack = (uint32_t)sqlite3_column_int64(stmt, 2),
			.pack_offset = (uint64_t)sqlite3_column_int64(stmt, 3),
		};

		if (key <= before) {
			rc = index_corrupt(index); /* what lies there would not be found */
			break;
		}
		before = key;
		fn(user, &body);
	}
	return index_rows_end(stmt, rc);
}

int index_list_pack(struct index *index, uint32_t pack, uint32_t box, uint32_t uid, size_t limit,
	GArray *bodies)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_OF_PACK);
	int rc;

	sqlite3_bind_int64(stmt, 1, pack);
	sqlite3_bind_int64(stmt, 2, box);
	sqlite3_bind_int64(stmt, 3, uid);
	sqlite3_bind_int64(stmt, 4, (sqlite3_int64)limit);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		append_body(stmt, bodies);
	return index_rows_end(stmt, rc);
}

int index_has_pack(struct index *index, uint32_t pack, bool *ret_has)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BODY_HAS_PACK);
	int rc;

	sqlite3_bind_int64(stmt, 1, pack);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		*ret_has = rc == SQLITE_ROW;
	return index_rows_end(stmt, rc);
}
