/* SPDX-License-Identifier: MIT */
/*
 * Boxes, messages, names and header fields in the index. Store thread. The state of a box is kept
 * in memory and written at commit; its row count and XOR show at loading that no row was lost.
 */
#include "store/index_impl.h"

#include <string.h>

#include "store/sum.h"

/* ---- boxes --------------------------------------------------------------------------------- */

static uint32_t sum_box(uint32_t id, const struct index_box *box)
{
	return sum_numbers(0, id, box->uidvalidity, box->state.modseq,
		(uint64_t)box->state.listing_ns, box->state.messages, box->state.unseen, box->row_count,
		box->row_xor);
}

static int read_box(struct index *index, uint32_t id, struct index_box *box)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BOX_GET);
	int rc;

	sqlite3_bind_int64(stmt, 1, id);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		box->uidvalidity = (uint32_t)sqlite3_column_int64(stmt, 0);
		box->state.modseq = (uint64_t)sqlite3_column_int64(stmt, 1);
		box->state.listing_ns = sqlite3_column_int64(stmt, 2);
		box->state.messages = (uint32_t)sqlite3_column_int64(stmt, 3);
		box->state.unseen = (uint32_t)sqlite3_column_int64(stmt, 4);
		box->row_count = (uint32_t)sqlite3_column_int64(stmt, 5);
		box->row_xor = (uint32_t)sqlite3_column_int64(stmt, 6);
		box->is_known = true;
		if (sum_box(id, box) != sqlite3_column_int64(stmt, 7))
			*box = (struct index_box){ .is_damaged = true };
	}
	return index_rows_end(stmt, rc);
}

static int read_uid_max(struct index *index, uint32_t id, struct index_box *box)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_MESSAGE_MAX);
	int rc;

	sqlite3_bind_int64(stmt, 1, id);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		box->uid_max = (uint32_t)sqlite3_column_int64(stmt, 0);
	return index_rows_end(stmt, rc);
}

struct index_box *index_box(struct index *index, uint32_t id, int *ret_rc)
{
	struct index_box *known = g_hash_table_lookup(index->boxes, GUINT_TO_POINTER(id));
	struct index_box box = { 0 };
	int rc;

	if (known)
		return known;
	rc = read_box(index, id, &box);
	if (rc == SQLITE_OK)
		rc = read_uid_max(index, id, &box);
	if (rc != SQLITE_OK) {
		*ret_rc = rc;
		return NULL;
	}
	known = g_memdup2(&box, sizeof(box));
	g_hash_table_insert(index->boxes, GUINT_TO_POINTER(id), known);
	return known;
}

static int write_box(struct index *index, uint32_t id, const struct index_box *box)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BOX_PUT);

	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, box->uidvalidity);
	sqlite3_bind_int64(stmt, 3, (sqlite3_int64)box->state.modseq);
	sqlite3_bind_int64(stmt, 4, box->state.listing_ns);
	sqlite3_bind_int64(stmt, 5, box->state.messages);
	sqlite3_bind_int64(stmt, 6, box->state.unseen);
	sqlite3_bind_int64(stmt, 7, box->row_count);
	sqlite3_bind_int64(stmt, 8, box->row_xor);
	sqlite3_bind_int64(stmt, 9, sum_box(id, box));
	return index_run(stmt);
}

int index_write_boxes(struct index *index)
{
	GHashTableIter iter;
	gpointer key, value;

	g_hash_table_iter_init(&iter, index->boxes);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		struct index_box *box = value;
		int rc;

		if (!box->is_dirty)
			continue;
		rc = write_box(index, GPOINTER_TO_UINT(key), box);
		if (rc != SQLITE_OK)
			return rc;
		box->is_dirty = false;
	}
	return SQLITE_OK;
}

static int run_range(struct index *index, enum index_sql which, uint32_t id, uint32_t first,
	uint32_t last)
{
	sqlite3_stmt *stmt = index_stmt(index, which);

	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, first);
	sqlite3_bind_int64(stmt, 3, last);
	return index_run(stmt);
}

static int remove_rows(struct index *index, uint32_t id, uint32_t first, uint32_t last)
{
	int rc = run_range(index, SQL_MESSAGE_REMOVE, id, first, last);

	if (rc == SQLITE_OK)
		rc = run_range(index, SQL_NAME_REMOVE, id, first, last);
	if (rc == SQLITE_OK)
		rc = run_range(index, SQL_DETAIL_REMOVE, id, first, last);
	return rc;
}

int index_put_box(struct index *index, uint32_t id, uint32_t uidvalidity)
{
	int rc = SQLITE_OK;
	struct index_box *box = index_box(index, id, &rc);

	if (!box)
		return rc;
	if (!box->is_known && box->uid_max > 0)
		rc = remove_rows(index, id, 0, UINT32_MAX); /* nobody vouches for them */
	*box = (struct index_box){ .uidvalidity = uidvalidity, .is_known = true, .is_dirty = true };
	return rc;
}

bool index_knows_box(struct index *index, uint32_t id, int *ret_rc)
{
	const struct index_box *box = index_box(index, id, ret_rc);

	return box && box->is_known;
}

int index_put_state(struct index *index, uint32_t id, const struct index_state *state)
{
	int rc = SQLITE_OK;
	struct index_box *box = index_box(index, id, &rc);

	if (!box)
		return rc;
	box->state = *state;
	box->is_dirty = true;
	return SQLITE_OK;
}

int index_forget_box(struct index *index, uint32_t id)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_BOX_REMOVE);
	int rc;

	g_hash_table_remove(index->boxes, GUINT_TO_POINTER(id));
	sqlite3_bind_int64(stmt, 1, id);
	rc = index_run(stmt);
	return rc == SQLITE_OK ? remove_rows(index, id, 0, UINT32_MAX) : rc;
}

/* ---- writing messages ---------------------------------------------------------------------- */

static uint32_t sum_message(uint32_t box, const struct message *message, const char *keywords)
{
	uint32_t sum = sum_numbers(0, box, message->uid, message->flags, message->bits, message->size,
		(uint64_t)message->date, (uint64_t)message->ctime_ns, message->seen_time,
		message->name_hash);

	return keywords ? sum_text(sum, keywords) : sum;
}

/* The new row is accounted for in the box; what it replaces no more. */
static int account_row(struct index *index, uint32_t id, uint32_t uid, uint32_t sum)
{
	int rc = SQLITE_OK;
	struct index_box *box = index_box(index, id, &rc);
	sqlite3_stmt *stmt;

	if (!box)
		return rc;
	box->is_dirty = true;
	box->row_xor ^= sum;
	if (uid > box->uid_max) {
		box->uid_max = uid;
		box->row_count++;
		return SQLITE_OK;
	}

	stmt = index_stmt(index, SQL_MESSAGE_SUM);
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, uid);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		box->row_xor ^= (uint32_t)sqlite3_column_int64(stmt, 0);
	else if (rc == SQLITE_DONE)
		box->row_count++;
	return index_rows_end(stmt, rc);
}

static int put_row(struct index *index, uint32_t id, const struct store_message *row)
{
	struct message message = *row->message;
	const char *keywords = row->keywords && row->keywords[0] ? row->keywords : NULL;
	sqlite3_stmt *stmt;
	uint32_t sum;
	int rc;

	if (row->head)
		message.bits |= MESSAGE_HAS_HEAD;
	sum = sum_message(id, &message, keywords);
	rc = account_row(index, id, message.uid, sum);
	if (rc != SQLITE_OK)
		return rc;

	stmt = index_stmt(index, SQL_MESSAGE_PUT);
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, message.uid);
	sqlite3_bind_int64(stmt, 3, message.flags);
	sqlite3_bind_int64(stmt, 4, message.bits);
	sqlite3_bind_int64(stmt, 5, (sqlite3_int64)message.size);
	sqlite3_bind_int64(stmt, 6, message.date);
	sqlite3_bind_int64(stmt, 7, message.ctime_ns);
	sqlite3_bind_int64(stmt, 8, message.seen_time);
	sqlite3_bind_int64(stmt, 9, message.name_hash);
	index_bind_text(stmt, 10, keywords);
	sqlite3_bind_int64(stmt, 11, (sqlite3_int64)row->modseq);
	sqlite3_bind_int64(stmt, 12, sum);
	return index_run(stmt);
}

static uint32_t sum_name(uint32_t box, uint32_t uid, const char *name)
{
	return sum_text(sum_numbers(0, box, uid), name);
}

static int put_name(struct index *index, uint32_t id, uint32_t uid, const char *name)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_NAME_PUT);

	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, uid);
	index_bind_text(stmt, 3, name);
	sqlite3_bind_int64(stmt, 4, sum_name(id, uid, name));
	return index_run(stmt);
}

uint32_t index_sum_texts(uint32_t box, uint32_t uid, const char *const *texts, size_t count)
{
	uint32_t sum = sum_numbers(0, box, uid);

	for (size_t i = 0; i < count; i++)
		sum = sum_text(sum, texts[i]);
	return sum;
}

static int put_head(struct index *index, uint32_t id, uint32_t uid, const struct mailfs_head *head)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_HEAD_PUT);
	const char *const texts[] = { head->subject, head->from, head->from_name, head->to, head->cc,
		head->message_id, head->date };

	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, uid);
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		index_bind_text(stmt, 3 + (int)i, texts[i]);
	sqlite3_bind_int64(stmt, 10, index_sum_texts(id, uid, texts, G_N_ELEMENTS(texts)));
	return index_run(stmt);
}

static int put_remote(struct index *index, uint32_t id, uint32_t uid, const char *const *texts)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_REMOTE_PUT);

	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, uid);
	index_bind_text(stmt, 3, texts[0]);
	index_bind_text(stmt, 4, texts[1]);
	sqlite3_bind_int64(stmt, 5, index_sum_texts(id, uid, texts, 2));
	return index_run(stmt);
}

/* One of both may be given: the other stays. */
static int update_remote(struct index *index, uint32_t id, const struct store_message *row)
{
	struct index_details known = { 0 };
	const char *texts[2] = { row->remote_id, row->thread_id };
	uint32_t uid = row->message->uid;
	int rc = SQLITE_OK;

	if (!texts[0] || !texts[1])
		rc = index_load_details(index, id, uid, &known);
	if (!texts[0])
		texts[0] = known.remote_id;
	if (!texts[1])
		texts[1] = known.thread_id;
	if (rc == SQLITE_OK)
		rc = put_remote(index, id, uid, texts);
	index_details_done(&known);
	return rc;
}

int index_put_message(struct index *index, uint32_t id, const struct store_message *row)
{
	int rc = put_row(index, id, row);

	if (rc == SQLITE_OK && row->name)
		rc = put_name(index, id, row->message->uid, row->name);
	if (rc == SQLITE_OK && row->head)
		rc = put_head(index, id, row->message->uid, row->head);
	if (rc == SQLITE_OK && (row->remote_id || row->thread_id))
		rc = update_remote(index, id, row);
	return rc;
}

int index_remove_messages(struct index *index, uint32_t id, uint32_t first, uint32_t last)
{
	int rc = SQLITE_OK;
	struct index_box *box = index_box(index, id, &rc);
	sqlite3_stmt *stmt;

	if (!box)
		return rc;
	stmt = index_stmt(index, SQL_MESSAGE_RANGE);
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, first);
	sqlite3_bind_int64(stmt, 3, last);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		box->row_xor ^= (uint32_t)sqlite3_column_int64(stmt, 0);
		box->row_count--;
	}
	box->is_dirty = true;
	rc = index_rows_end(stmt, rc);
	return rc == SQLITE_OK ? remove_rows(index, id, first, last) : rc;
}

/* ---- reading messages ---------------------------------------------------------------------- */

/* False: the row is damaged. */
static bool read_message(sqlite3_stmt *stmt, struct mailbox *box, uint32_t *xor)
{
	const char *keywords = index_text(stmt, 8);
	struct message message = {
		.uid = (uint32_t)sqlite3_column_int64(stmt, 0),
		.flags = (uint8_t)sqlite3_column_int(stmt, 1),
		.bits = (uint8_t)sqlite3_column_int(stmt, 2),
		.size = (uint64_t)sqlite3_column_int64(stmt, 3) & ((1ull << 48) - 1),
		.date = sqlite3_column_int64(stmt, 4),
		.ctime_ns = sqlite3_column_int64(stmt, 5),
		.seen_time = (uint32_t)sqlite3_column_int64(stmt, 6),
		.name_hash = (uint32_t)sqlite3_column_int64(stmt, 7),
	};
	uint32_t sum = sum_message(box->id, &message, keywords);

	/* The array must ascend whatever the file says; and what lies between rows of a box may be of
	 * another, if the tree is wrong. */
	if (sum != sqlite3_column_int64(stmt, 9) || message.uid <= mailbox_uid_max(box) ||
		sqlite3_column_int64(stmt, 10) != box->id)
		return false;
	*xor ^= sum;
	if (keywords)
		message.keywords = mailbox_intern_keyword_text(box, keywords);
	box->unseen += (message.flags & MAILFS_FLAG_SEEN) == 0;
	g_array_append_val(box->messages, message);
	return true;
}

static int read_messages(struct index *index, struct mailbox *box, uint32_t *ret_xor,
	bool *ret_is_damaged)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_MESSAGE_LOAD);
	int rc;

	sqlite3_bind_int64(stmt, 1, box->id);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (!read_message(stmt, box, ret_xor)) {
			*ret_is_damaged = true;
			break;
		}
	}
	return index_rows_end(stmt, rc);
}

int index_load_box(struct index *index, uint32_t id, struct mailbox **ret_box, bool *ret_is_damaged)
{
	int rc = SQLITE_OK;
	struct index_box *known = index_box(index, id, &rc);
	struct mailbox *box;
	bool is_damaged = false;
	uint32_t xor = 0;

	if (!known)
		return rc;
	if (!known->is_known) {
		*ret_is_damaged = known->is_damaged;
		return SQLITE_OK;
	}

	box = mailbox_new(id, known->uidvalidity);
	box->modseq = known->state.modseq;
	box->listing_ns = known->state.listing_ns;
	rc = read_messages(index, box, &xor, &is_damaged);
	if (mailbox_count(box) != known->row_count || xor != known->row_xor)
		is_damaged = true;

	if (rc == SQLITE_OK && !is_damaged) {
		*ret_box = box;
		return SQLITE_OK;
	}
	mailbox_free(box);
	*ret_is_damaged = rc == SQLITE_OK;
	return rc;
}

int index_load_names(struct index *index, uint32_t id, uint32_t after_uid, size_t limit,
	GArray *ret_uids, GPtrArray *ret_names)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_NAME_LOAD);
	int rc;

	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, after_uid);
	sqlite3_bind_int64(stmt, 3, (sqlite3_int64)MIN(limit, (size_t)G_MAXINT64));
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint32_t uid = (uint32_t)sqlite3_column_int64(stmt, 0);
		const char *name = index_text(stmt, 1);

		if (!name || sum_name(id, uid, name) != sqlite3_column_int64(stmt, 2))
			continue;
		g_array_append_val(ret_uids, uid);
		g_ptr_array_add(ret_names, g_strdup(name));
	}
	return index_rows_end(stmt, rc);
}

static void read_details(sqlite3_stmt *stmt, uint32_t id, uint32_t uid, struct index_details *ret)
{
	const char *name = index_text(stmt, 1);
	const char *texts[7];
	const char *remote[2] = { index_text(stmt, 11), index_text(stmt, 12) };

	ret->is_known = true;
	ret->modseq = (uint64_t)sqlite3_column_int64(stmt, 0);
	if (name && sum_name(id, uid, name) == sqlite3_column_int64(stmt, 2))
		ret->name = g_strdup(name);

	for (int i = 0; i < 7; i++)
		texts[i] = index_text(stmt, 4 + i);
	ret->has_head = sqlite3_column_type(stmt, 3) != SQLITE_NULL &&
		index_sum_texts(id, uid, texts, 7) == sqlite3_column_int64(stmt, 3);
	for (int i = 0; i < 7 && ret->has_head; i++)
		ret->texts[i] = g_strdup(texts[i]);

	if (index_sum_texts(id, uid, remote, 2) != sqlite3_column_int64(stmt, 13))
		return;
	ret->remote_id = g_strdup(remote[0]);
	ret->thread_id = g_strdup(remote[1]);
}

int index_load_details(struct index *index, uint32_t id, uint32_t uid, struct index_details *ret)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_DETAIL_GET);
	int rc;

	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, uid);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		read_details(stmt, id, uid, ret);
	return index_rows_end(stmt, rc);
}

void index_details_done(struct index_details *details)
{
	for (size_t i = 0; i < G_N_ELEMENTS(details->texts); i++)
		g_free(details->texts[i]);
	g_free(details->name);
	g_free(details->remote_id);
	g_free(details->thread_id);
	*details = (struct index_details){ 0 };
}
