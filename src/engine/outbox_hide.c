/* SPDX-License-Identifier: MIT */
/* Messages that are hidden because a new one takes their place. */
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

bool outbox_hides(struct outbox *outbox, const struct folder *folder, uint32_t uid)
{
	GHashTableIter iter;
	gpointer value;
	gint64 key;

	if (g_hash_table_size(outbox->by_id) == 0 || !folder->box)
		return false;
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
