/* SPDX-License-Identifier: MIT */
/*
 * Messages that are hidden: because a new one takes their place, or because they may be what an upload
 * of unknown outcome has become. Who moved or removed such a one would make it go out once more, and
 * its bytes would be there under two names. WR-5.
 */
#include "engine/outbox_impl.h"

#include <string.h>

void outbox_set_replaces(struct outbox_item *item, uint32_t uidvalidity, uint32_t uid)
{
	item->replaces_uidvalidity = uid != 0 ? uidvalidity : 0;
	item->draft.replaces_uid = uid;
	g_clear_pointer(&item->outbox->hidden, g_hash_table_unref);
}

static void add_hidden(GHashTable *hidden, uint32_t uidvalidity, uint32_t uid)
{
	gint64 key = (gint64)uidvalidity << 32 | uid;

	if (uid != 0)
		g_hash_table_add(hidden, g_memdup2(&key, sizeof(key)));
}

static void make_hidden(struct outbox *outbox)
{
	GHashTableIter iter;
	gpointer value;

	outbox->hidden = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_hash_table_iter_init(&iter, outbox->by_id);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct outbox_item *item = value;

		add_hidden(outbox->hidden, item->replaces_uidvalidity, item->draft.replaces_uid);
		if (item->successor != 0 || item->is_stale)
			add_hidden(outbox->hidden, item->wire.uidvalidity, item->uid);
	}
}

static bool item_hides(const struct outbox_item *item, const struct folder *folder, uint32_t uid)
{
	uint32_t uidvalidity = folder->box->uidvalidity;

	if (strcmp(item->draft.folder, folder->name) != 0)
		return false;
	return (item->draft.replaces_uid == uid && item->replaces_uidvalidity == uidvalidity) ||
	       ((item->successor != 0 || item->is_stale) && item->uid == uid &&
		       item->wire.uidvalidity == uidvalidity);
}

static bool is_upload_of(const struct outbox_item *item, const struct folder *folder, uint32_t uid)
{
	const struct message *message;

	if (item->phase < OUTBOX_SENDING || item->phase > OUTBOX_RESOLVING || item->uid != 0 ||
		uid <= item->wire.uid_floor || item->wire.uidvalidity != folder->box->uidvalidity ||
		strcmp(item->wire.folder, folder->name) != 0)
		return false;
	message = mailbox_find(folder->box, uid);
	return message && message->size == item->wire.size;
}

/* Those that were given a name are known to be others. */
static bool may_be_upload(const struct outbox *outbox, const struct folder *folder, uint32_t uid)
{
	GHashTableIter iter;
	gpointer item;

	g_hash_table_iter_init(&iter, outbox->flying);
	while (g_hash_table_iter_next(&iter, &item, NULL)) {
		if (is_upload_of(item, folder, uid))
			return !engine_given_name(outbox->engine, folder->box->id, uid);
	}
	return false;
}

bool outbox_hides(struct outbox *outbox, const struct folder *folder, uint32_t uid)
{
	GHashTableIter iter;
	gpointer value;
	gint64 key;

	if (g_hash_table_size(outbox->by_id) == 0 || !folder->box)
		return false;
	if (may_be_upload(outbox, folder, uid))
		return true;
	if (!outbox->hidden)
		make_hidden(outbox);
	key = (gint64)folder->box->uidvalidity << 32 | uid;
	if (!g_hash_table_contains(outbox->hidden, &key))
		return false;
	g_hash_table_iter_init(&iter, outbox->by_id);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		if (item_hides(value, folder, uid))
			return true;
	}
	return false;
}
