/* SPDX-License-Identifier: MIT */
/* New messages on their way into the vault: RETR, spool, fsync, journal. Loop thread. */
#include "engine/vault_impl.h"

#include <string.h>

#include "base/clock.h"
#include "engine/changes.h"
#include "engine/sync_impl.h"

/* What a message may have beyond what LIST claims: line ends are counted in two ways, and some servers
 * count what they store. */
#define ARRIVAL_ROOM (64ull * 1024 * 1024)
#define CLAIM_MAX    (2ull * 1024 * 1024 * 1024) /* that is believed */

/* A message on its way; the vault may go before it has arrived. */
struct arrival {
	struct vault_work *work;
	struct journal *journal;
	uint64_t id;
	uint32_t uid;
	struct spool_file *file; /* NULL: the vault is no more */
	GChecksum *sha;
	GByteArray *buffer;
	uint64_t size;
	uint64_t claimed; /* by the server */
	unsigned writes; /* that have no answer */
	bool is_over;    /* freed with the last of them */
	GError *error;   /* of the disk, the first */
	struct journal_kept *row; /* on its way to the journal */
};

static void arrival_free(struct arrival *arrival)
{
	g_queue_remove(&arrival->work->arrivals, arrival);
	spool_file_unref(arrival->file);
	g_checksum_free(arrival->sha);
	g_byte_array_unref(arrival->buffer);
	g_clear_error(&arrival->error);
	g_clear_pointer(&arrival->row, journal_kept_free);
	g_free(arrival);
}

/* Its file goes, unless there is a row. */
static void arrival_end(struct arrival *arrival, bool is_kept)
{
	if (!is_kept && arrival->work->vault)
		spool_remove(arrival->journal, arrival->id);
	arrival->is_over = true;
	if (arrival->writes == 0)
		arrival_free(arrival);
}

static void give_up(struct vault_work *work)
{
	if (work->coming)
		arrival_end(g_steal_pointer(&work->coming), false);
}

void vault_forget_arrivals(struct vault_work *work)
{
	for (GList *at = work->arrivals.head; at; at = at->next) {
		struct arrival *arrival = at->data;

		g_clear_pointer(&arrival->file, spool_file_unref);
	}
	give_up(work);
}

static void arrival_failed(struct arrival *arrival, const GError *error)
{
	struct vault_work *work = arrival->work;

	if (work->vault && error)
		engine_add_reason(work->vault->engine, "keeping UID %u: %s", arrival->uid,
			error->message);
	arrival_end(arrival, false);
	vault_work_answered(work);
}

/* ---- 4: the row is on the disk ----------------------------------------------------------------- */

static void show(struct vault *vault, const struct journal_kept *row)
{
	struct folder *folder;
	struct message *message = vault_message(vault, row->folder, row->uid, &folder);

	if (!message || message->size == row->size)
		return;
	message->size = row->size;
	if (vault->engine->events.message_resized)
		vault->engine->events.message_resized(vault->engine->user, folder, row->uid);
	vault->engine->events.message_changed(vault->engine->user, folder, row->uid);
}

static void on_row(void *user, const GError *error)
{
	struct arrival *arrival = user;
	struct vault_work *work = arrival->work;
	struct vault *vault = work->vault;
	struct folder *folder;
	uint32_t uid = arrival->uid;

	if (error || !vault) {
		arrival_failed(arrival, error);
		return;
	}
	vault_put(vault, g_steal_pointer(&arrival->row));
	arrival_end(arrival, true);
	/* Somebody may have removed it meanwhile. */
	if (!vault_message(vault, work->folder, uid, &folder))
		vault_drop(vault, uid);
	else
		show(vault, vault_find(vault, uid));
	vault_work_answered(work);
}

/* ---- 3: what the index knows of it -------------------------------------------------------------- */

static void set_head(struct journal_kept *row, const struct mailfs_head *head)
{
	row->subject = head->subject;
	row->from = head->from;
	row->from_name = head->from_name;
	row->to = head->to;
	row->cc = head->cc;
	row->message_id = head->message_id;
	row->sent = head->date;
}

static void put_row(struct arrival *arrival, const struct store_details *details,
	const struct message *message, const char *key)
{
	struct journal_kept row = {
		.id = arrival->id,
		.folder = arrival->work->folder,
		.uid = arrival->uid,
		.key = key,
		.size = arrival->size,
		.date = message->date,
		.stored = clock_realtime_ns() / 1000000000,
	};
	gsize len = sizeof(row.sha256);

	g_checksum_get_digest(arrival->sha, row.sha256, &len);
	if (details)
		set_head(&row, &details->head);
	arrival->row = journal_kept_copy(&row);
	journal_put_kept(arrival->journal, &row, JOURNAL_SYNCED, on_row, arrival);
}

static void on_details(void *user, const struct store_details *details)
{
	struct arrival *arrival = user;
	struct vault *vault = arrival->work->vault;
	g_autoptr(GError) gone = NULL;
	g_autofree const char **keys = NULL;
	struct folder *folder;
	const struct message *message;

	message = vault ? vault_message(vault, arrival->work->folder, arrival->uid, &folder) : NULL;
	if (message)
		keys = syncer_keys(vault->engine, folder->name, &arrival->uid, 1);
	if (keys && keys[0][0] != '\0') {
		put_row(arrival, details, message, keys[0]);
		return;
	}
	gone = g_error_new(MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more");
	arrival_failed(arrival, gone);
}

/* ---- 2: its bytes are on the disk --------------------------------------------------------------- */

static void on_synced(void *user, const GError *error)
{
	struct arrival *arrival = user;
	struct vault *vault = arrival->work->vault;
	g_autoptr(GError) failure = arrival->error ? g_error_copy(arrival->error) : NULL;

	if (error || failure || !vault) {
		arrival_failed(arrival, error ? error : failure);
		return;
	}
	store_load_details(vault->engine->config.store, arrival->work->box_id, arrival->uid, on_details,
		arrival);
}

/* ---- 1: it comes ------------------------------------------------------------------------------- */

/* Of one write. */
struct piece {
	struct arrival *arrival;
	size_t len;
};

static void on_written(void *user, const GError *error)
{
	struct piece *piece = user;
	struct arrival *arrival = piece->arrival;
	struct vault_work *work = arrival->work;

	if (work->vault)
		work->vault->pending -= piece->len;
	if (error && !arrival->error)
		arrival->error = g_error_copy(error);
	g_free(piece);
	if (--arrival->writes == 0 && arrival->is_over)
		arrival_free(arrival);
	vault_work_answered(work);
}

static void arrival_write(struct arrival *arrival)
{
	struct vault *vault = arrival->work->vault;
	struct piece *piece = g_new0(struct piece, 1);
	g_autoptr(GBytes) bytes = g_bytes_new(arrival->buffer->data, arrival->buffer->len);

	piece->arrival = arrival;
	piece->len = arrival->buffer->len;
	arrival->writes++;
	arrival->work->open++;
	vault->pending += piece->len;
	spool_write(arrival->file, arrival->size, bytes, on_written, piece);
	g_checksum_update(arrival->sha, arrival->buffer->data, arrival->buffer->len);
	arrival->size += arrival->buffer->len;
	g_byte_array_set_size(arrival->buffer, 0);
	engine_check_pressure(vault->engine);
}

static void on_begin(void *user, uint32_t uid, uint64_t size)
{
	struct vault_work *work = user;
	struct folder *folder;
	const struct message *message = vault_message(work->vault, work->folder, uid, &folder);
	struct arrival *arrival;

	if (work->is_cut)
		return;
	give_up(work); /* the server starts over */
	arrival = g_new0(struct arrival, 1);
	arrival->claimed = message ? message->size : 0;
	arrival->work = work;
	arrival->journal = work->vault->journal;
	arrival->id = journal_new_id(arrival->journal);
	arrival->uid = uid;
	arrival->file = spool_file_open(arrival->journal, arrival->id, true);
	arrival->sha = g_checksum_new(G_CHECKSUM_SHA256);
	arrival->buffer = g_byte_array_new();
	work->coming = arrival;
	g_queue_push_tail(&work->arrivals, arrival);
}

/* It would fill the disk, and nothing else could be asked meanwhile. The connection ends, the message
 * stays where it is; those behind it get their turn. */
static void cut(struct vault_work *work)
{
	struct vault *vault = work->vault;
	const struct arrival *arrival = work->coming;

	engine_add_reason(vault->engine, "keeping UID %u: the server claims %" G_GUINT64_FORMAT
		" octets and sends more than %" G_GUINT64_FORMAT ": it stays there",
		arrival->uid, (guint64)arrival->claimed, (guint64)arrival->size);
	g_hash_table_add(vault->endless, GUINT_TO_POINTER(arrival->uid));
	work->is_cut = true;
	give_up(work);
	pool_end_session(vault->engine->pool, &work->job);
}

static void on_data(void *user, uint32_t uid, const void *bytes, size_t len)
{
	struct vault_work *work = user;
	struct arrival *arrival = work->coming;

	if (work->is_cut)
		return;
	g_byte_array_append(arrival->buffer, bytes, (guint)len);
	if (arrival->buffer->len >= VAULT_PIECE)
		arrival_write(arrival);
	if (arrival->size > ARRIVAL_ROOM + 2 * MIN(arrival->claimed, CLAIM_MAX))
		cut(work);
}

static void on_end(void *user, uint32_t uid)
{
	struct vault_work *work = user;
	struct arrival *arrival = g_steal_pointer(&work->coming);

	if (!arrival)
		return;
	if (arrival->buffer->len > 0)
		arrival_write(arrival);
	work->open++;
	spool_sync(arrival->file, on_synced, arrival);
}

/* ---- the request ------------------------------------------------------------------------------- */

static mailfs_ticket start(struct vault_work *work, struct mailfs_session *session,
	const char *const *keys)
{
	return work->vault->engine->config.backend->fetch(session, &(struct mailfs_fetch_request){
		.folder = work->folder,
		.uidvalidity = work->uidvalidity,
		.uids = (const uint32_t *)(const void *)work->uids->data,
		.keys = keys,
		.uid_count = work->uids->len,
		.is_background = true,
		.begin = on_begin,
		.data = on_data,
		.end = on_end,
		.done = vault_work_done,
		.user = work,
	});
}

/* ---- which ones -------------------------------------------------------------------------------- */

static bool is_wanted(const struct vault *vault, const struct folder *folder,
	const struct message *message)
{
	return (message->bits & MESSAGE_LOCAL) == 0 && !vault_find(vault, message->uid) &&
		!g_hash_table_contains(vault->endless, GUINT_TO_POINTER(message->uid)) &&
		!engine_is_hidden(vault->engine, folder->box->id, message->uid);
}

const struct vault_task vault_store = {
	.name = "keeping messages",
	.takes = is_wanted,
	.begin = vault_work_submit,
	.start = start,
	.end = give_up,
};
