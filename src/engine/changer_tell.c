/* SPDX-License-Identifier: MIT */
/* What the changer hears of others, and what it tells of what waits. Loop thread. */
#include "base/log.h"
#include "engine/changer_impl.h"

/* ---- heard ------------------------------------------------------------------------------------- */

void changer_online(struct changer *changer)
{
	g_autoptr(GPtrArray) all = place_all(changer->map);

	for (guint i = 0; i < all->len; i++) {
		struct flag_place *place = g_ptr_array_index(all, i);

		place->is_paused = false;
		changer_go(place, true);
	}
}

/* What was meant for messages of another UIDVALIDITY is never sent (ID-1). */
void changer_box_is(struct changer *changer, const struct folder *folder, uint32_t uidvalidity)
{
	g_autoptr(GPtrArray) former = place_former(changer->map, folder, uidvalidity);
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_STALE,
		"the server has made the folder anew (UIDVALIDITY)");

	for (guint i = 0; i < former->len; i++)
		changer_give_up(g_ptr_array_index(former, i), error);
}

static bool forget(struct changer *changer, struct wish *wish, const GError *error)
{
	GPtrArray *rows;

	if (!wish)
		return false;
	rows = g_ptr_array_new();
	changer_take_rows(wish, false, rows);
	changer_show(wish);
	changer_end_wish(wish);
	changer_answer_rows(changer, rows, error);
	return true;
}

void changer_message_gone(struct changer *changer, const struct folder *folder, uint32_t uid)
{
	g_autoptr(GError) error = NULL;
	struct wish *wish;

	if (changer->wishes == 0)
		return;
	wish = place_item(place_of(changer->map, folder), uid);
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more");
	if (forget(changer, wish, error))
		log_debug("engine", "%s: message %u went before its flags could change", folder->path,
			uid);
}

bool changer_is_busy(struct changer *changer, const char *folder, uint32_t uidvalidity,
	uint32_t uid)
{
	struct place *place =
		changer->wishes == 0 ? NULL : place_find(changer->map, folder, uidvalidity);

	if (!place_item(place, uid))
		return false;
	changer_go((struct flag_place *)place, true);
	return true;
}

void changer_box_loaded(struct changer *changer, struct folder *folder)
{
	struct place *place = place_of(changer->map, folder);
	g_autoptr(GArray) uids = NULL;

	if (!place || changer->wishes == 0)
		return;
	uids = place_uids(place);
	for (guint i = 0; i < uids->len; i++) {
		struct wish *wish = place_item(place, g_array_index(uids, uint32_t, i));
		const struct message *message = mailbox_find(folder->box, wish->uid);

		if (!message)
			continue;
		changer_set_base(wish, message->flags,
			mailbox_keywords(folder->box, message->keywords));
		changer_show(wish);
	}
}

void changer_folder_renamed(struct changer *changer, const char *from, const char *to,
	char delimiter)
{
	place_map_rename(changer->map, from, to, delimiter);
}

/* ---- told -------------------------------------------------------------------------------------- */

bool changer_flush(struct changer *changer)
{
	g_autoptr(GPtrArray) all = place_all(changer->map);
	bool is_done = g_hash_table_size(changer->writing) == 0;

	for (guint i = 0; i < all->len; i++) {
		struct flag_place *place = g_ptr_array_index(all, i);

		changer_go(place, true);
		is_done &= place->in_flight == 0;
	}
	return is_done;
}

static void tell(const struct wish *wish, engine_pending_fn fn, void *user)
{
	const struct engine *engine = wish->place->changer->engine;
	const struct folder *folder = tree_by_name(engine->tree, wish->place->place.folder);
	const struct wish_row *first = g_queue_peek_head((GQueue *)&wish->rows);
	struct delta all = delta_make(0, 0, g_strdup(""), g_strdup(""));
	g_autofree char *what = NULL;
	g_autofree char *text = NULL;

	for (GList *at = wish->rows.head; at; at = at->next) {
		struct delta both = delta_then(&all, &((struct wish_row *)at->data)->delta);

		delta_clear(&all);
		all = both;
	}
	what = delta_text(&all);
	text = g_strdup_printf("%u: %s", wish->uid, what);
	delta_clear(&all);
	fn(user, &(struct engine_pending){
		.id = first->id,
		.kind = "flags",
		.state = wish->batch ? "sending" : "waiting",
		.folder = folder ? folder->path : wish->place->place.folder,
		.text = text,
	});
}

void changer_each(struct changer *changer, engine_pending_fn fn, void *user)
{
	g_autoptr(GPtrArray) all = place_all(changer->map);

	for (guint i = 0; i < all->len; i++) {
		struct place *place = g_ptr_array_index(all, i);
		g_autoptr(GArray) uids = place_uids(place);

		for (guint n = 0; n < uids->len; n++) {
			const struct wish *wish = place_item(place, g_array_index(uids, uint32_t, n));

			if (!g_queue_is_empty((GQueue *)&wish->rows))
				tell(wish, fn, user);
		}
	}
}

static struct wish *by_id(struct changer *changer, uint64_t id)
{
	g_autoptr(GPtrArray) all = place_all(changer->map);
	GHashTableIter iter;
	gpointer wish;

	for (guint i = 0; i < all->len; i++) {
		g_hash_table_iter_init(&iter, ((struct place *)g_ptr_array_index(all, i))->items);
		while (g_hash_table_iter_next(&iter, NULL, &wish)) {
			for (GList *at = ((struct wish *)wish)->rows.head; at; at = at->next) {
				if (((struct wish_row *)at->data)->id == id)
					return wish;
			}
		}
	}
	return NULL;
}

bool changer_drop(struct changer *changer, uint64_t id)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the change was given up");

	return forget(changer, by_id(changer, id), error);
}
