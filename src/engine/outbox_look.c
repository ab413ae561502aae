/* SPDX-License-Identifier: MIT */
/*
 * Was it stored? Asked when the connection was lost before the answer, after a restart, and when
 * the server did not tell the UID. The folder is synced, then the messages above the former highest
 * UID are looked at: the same size and the same SHA-256, else the same Message-ID (a server may
 * store other bytes than it was given, WR-4). WR-5.
 */
#include "engine/outbox_impl.h"

#include <string.h>

#define CANDIDATES_MAX 100u  /* that are fetched */
#define IDS_MAX        1000u /* whose Message-ID is asked of the index */
#define DOUBTS_MAX     2u

struct outbox_look {
	struct outbox_item *item;
	GArray *uids; /* uint32_t, ascending: candidates */
	char *folder;
	uint32_t uidvalidity;
	GChecksum *sha;
	uint32_t found;
	GError *refusal; /* the bytes were not given, and will not be */
	guint at;
	struct pool_job job;
};

void outbox_look_free(struct outbox_look *look)
{
	if (!look)
		return;
	g_clear_pointer(&look->sha, g_checksum_free);
	g_clear_error(&look->refusal);
	g_array_unref(look->uids);
	g_free(look->folder);
	g_free(look);
}

static void look_end(struct outbox_item *item)
{
	g_clear_pointer(&item->look, outbox_look_free);
}

/* ---- what came of it ---------------------------------------------------------------------------
 */

static void found(struct outbox_item *item, uint32_t uid)
{
	look_end(item);
	item->uid = uid;
	item->tries = 0;
	if (!item->is_stale)
		item->draft.state = DRAFT_STORED;
	outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
	outbox_land(item);
}

/* The server has said OK, but nothing there has these bytes or this Message-ID. */
static void not_recognised(struct outbox_item *item, const GArray *newer)
{
	uint32_t only = newer->len == 1 ? g_array_index(newer, uint32_t, 0) : 0;
	bool is_one_of_them = newer->len > 1;
	g_autoptr(GError) error = NULL;

	if (only != 0) {
		found(item, only);
		return;
	}
	look_end(item);
	if (is_one_of_them) {
		outbox_landed_somewhere(item);
		return;
	}
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
		"the server says that it has stored it, but does not show it");
	if (++item->doubts <= DOUBTS_MAX)
		outbox_wait_and_see(item, error);
	else
		outbox_refused(item, error);
}

/* It may be there: to send it once more could make it two. */
static void remains_unknown(struct outbox_item *item)
{
	g_autoptr(GError) refusal = g_steal_pointer(&item->look->refusal);

	look_end(item);
	g_prefix_error_literal(&refusal, "whether the server has stored it cannot be found out: ");
	outbox_refused(item, refusal);
}

/* ---- which may be it ---------------------------------------------------------------------------
 */

static bool is_claimed(const struct outbox_item *item, uint32_t uid)
{
	GHashTableIter iter;
	gpointer value;

	if (item->draft.replaces_uid == uid &&
		item->replaces_uidvalidity == item->look->uidvalidity)
		return true;
	g_hash_table_iter_init(&iter, item->outbox->by_id);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct outbox_item *other = value;

		if (other != item && other->uid == uid && other->wire.folder &&
			other->wire.uidvalidity == item->look->uidvalidity &&
			strcmp(other->wire.folder, item->look->folder) == 0)
			return true;
	}
	return false;
}

/* Newest first in the choice, ascending in the result. size 0 = any. */
static GArray *newer_messages(
	const struct outbox_item *item, const struct mailbox *box, uint64_t size, guint limit)
{
	bool is_same_box = box->uidvalidity == item->wire.uidvalidity;
	size_t first = is_same_box ? mailbox_lower_bound(box, item->wire.uid_floor) : 0;
	GArray *uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (size_t i = mailbox_count(box); i > first && uids->len < limit; i--) {
		const struct message *message = mailbox_at(box, i - 1);

		if ((is_same_box && message->uid <= item->wire.uid_floor) ||
			(size != 0 && message->size != size) || is_claimed(item, message->uid))
			continue;
		g_array_prepend_val(uids, message->uid);
	}
	return uids;
}

/* ---- by Message-ID -----------------------------------------------------------------------------
 */

static void ask_next_id(struct outbox_item *item);

static void on_details(void *user, const struct store_details *details)
{
	struct outbox_item *item = user;
	struct outbox_look *look = item->outbox ? item->look : NULL;
	const char *id = details && details->has_head ? details->head.message_id : NULL;

	if (look && id && strcmp(id, item->wire.message_id) == 0)
		found(item, g_array_index(look->uids, uint32_t, look->at));
	else if (look) {
		look->at++;
		ask_next_id(item);
	}
	outbox_release(item);
}

static void ask_next_id(struct outbox_item *item)
{
	struct outbox_look *look = item->look;
	struct folder *folder = outbox_folder(item);

	if (item->wire.message_id && look->at < look->uids->len && folder && folder->box &&
		folder->box->uidvalidity == look->uidvalidity) {
		store_load_details(item->outbox->engine->config.store, folder->box->id,
			g_array_index(look->uids, uint32_t, look->at), on_details,
			outbox_hold(item));
		return;
	}
	if (item->draft.state == DRAFT_STORED) {
		g_autoptr(GArray) newer = g_array_ref(look->uids);

		not_recognised(item, newer);
		return;
	}
	if (look->refusal) {
		remains_unknown(item);
		return;
	}
	look_end(item);
	outbox_again(item, NULL);
}

static void look_by_id(struct outbox_item *item)
{
	struct outbox_look *look = item->look;
	const struct folder *folder = outbox_folder(item);

	look->at = 0;
	g_array_set_size(look->uids, 0);
	if (folder && folder->box) {
		g_array_unref(look->uids);
		look->uids = newer_messages(item, folder->box, 0, IDS_MAX);
	}
	ask_next_id(item);
}

/* ---- by bytes ----------------------------------------------------------------------------------
 */

static void on_begin(void *user, uint32_t uid, uint64_t size)
{
	struct outbox_look *look = user;

	g_checksum_reset(look->sha);
}

static void on_data(void *user, uint32_t uid, const void *bytes, size_t len)
{
	struct outbox_look *look = user;

	g_checksum_update(look->sha, bytes, (gssize)len);
}

static void on_end(void *user, uint32_t uid)
{
	struct outbox_look *look = user;
	uint8_t digest[32];
	gsize len = sizeof(digest);

	g_checksum_get_digest(look->sha, digest, &len);
	if (memcmp(digest, look->item->wire.sha256, sizeof(digest)) == 0)
		look->found = uid;
	g_checksum_reset(look->sha);
}

/* By the server itself, and not for the first time. */
static bool is_refused_for_good(struct outbox_item *item, const GError *error)
{
	enum change_verdict verdict = change_judge(item->outbox->engine, error);

	return (verdict == CHANGE_REFUSED || verdict == CHANGE_DOUBT) && ++item->doubts > DOUBTS_MAX;
}

static void on_fetched(void *user, const GError *error)
{
	struct outbox_look *look = user;
	struct outbox_item *item = look->item;

	pool_done(item->outbox->engine->pool, &look->job, error);
	if (look->found != 0) {
		found(item, look->found);
	} else if (error && !is_refused_for_good(item, error)) {
		look_end(item);
		outbox_wait_and_see(item, error);
	} else {
		look->refusal = error ? g_error_copy(error) : NULL;
		look_by_id(item);
	}
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct outbox_look *look =
		(struct outbox_look *)((char *)job - G_STRUCT_OFFSET(struct outbox_look, job));

	return look->item->outbox->engine->config.backend->fetch(
		session, &(struct mailfs_fetch_request){
				 .folder = look->folder,
				 .uidvalidity = look->uidvalidity,
				 .uids = (const uint32_t *)(void *)look->uids->data,
				 .uid_count = look->uids->len,
				 .begin = on_begin,
				 .data = on_data,
				 .end = on_end,
				 .done = on_fetched,
				 .user = look,
			 });
}

static void job_fail(struct pool_job *job, const GError *error)
{
	struct outbox_look *look =
		(struct outbox_look *)((char *)job - G_STRUCT_OFFSET(struct outbox_look, job));
	struct outbox_item *item = look->item;

	look_end(item);
	outbox_wait_and_see(item, error);
}

static void look_by_bytes(struct outbox_item *item, const struct folder *folder)
{
	struct outbox_look *look = g_new0(struct outbox_look, 1);

	look->item = item;
	look->folder = g_strdup(folder->name);
	look->uidvalidity = folder->box->uidvalidity;
	look->sha = g_checksum_new(G_CHECKSUM_SHA256);
	item->look = look;
	look->uids = newer_messages(item, folder->box, item->wire.size, CANDIDATES_MAX);
	if (look->uids->len == 0) {
		look_by_id(item);
		return;
	}
	look->job = (struct pool_job){
		.priority = POOL_SYNC,
		.weight = 2,
		.folder = look->folder,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(item->outbox->engine->pool, &look->job);
}

/* ---- first of all ------------------------------------------------------------------------------
 */

static void no_folder(struct outbox_item *item)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_GONE, "the folder is no more");

	outbox_refused(item, error);
}

static void on_synced(void *user, const GError *error)
{
	struct outbox_item *item = user;
	const struct folder *folder = outbox_folder(item);

	if (item->phase != OUTBOX_RESOLVING)
		return;
	if (!folder)
		no_folder(item);
	else if (error)
		outbox_wait_and_see(item, error);
	else if (!folder->box)
		no_folder(item);
	else
		look_by_bytes(item, folder);
}

static void sync_first(struct outbox_item *item)
{
	struct folder *folder = outbox_folder(item);

	if (!folder)
		no_folder(item);
	else
		syncer_sync(item->outbox->engine, folder, on_synced, item);
}

static void on_scanned(void *user, const struct spool_wire *wire, const GError *error)
{
	struct outbox_item *item = user;

	if (wire && !item->wire.message_id)
		item->wire.message_id = wire->message_id;
	else if (wire)
		g_free(wire->message_id);
	if (item->outbox && item->phase == OUTBOX_RESOLVING)
		sync_first(item);
	outbox_release(item);
}

void outbox_look(struct outbox_item *item)
{
	uint64_t size;

	outbox_set_phase(item, OUTBOX_RESOLVING);
	/* After a restart; of content that has changed it is no longer known. */
	if (!item->wire.message_id && !item->is_stale &&
		spool_has(item->outbox->journal, item->draft.id, &size))
		spool_scan(outbox_file(item), on_scanned, outbox_hold(item));
	else
		sync_first(item);
}
