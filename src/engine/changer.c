/* SPDX-License-Identifier: MIT */
/*
 * Flags that the user changes: checked, shown at once, journalled. changer_send.c brings them to the
 * server. Loop thread.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/changer_impl.h"

/* ---- life -------------------------------------------------------------------------------------- */

static void row_free(struct wish_row *row)
{
	delta_clear(&row->delta);
	g_free(row);
}

void changer_wish_free(struct wish *wish)
{
	struct wish_row *row;

	while ((row = g_queue_pop_head(&wish->rows))) {
		/* One that the journal has not answered frees itself then. */
		row->wish = NULL;
		if (row->state != ROW_WRITING)
			row_free(row);
	}
	g_free(wish->base_words);
	g_free(wish->answer_words);
	g_free(wish);
}

static void wish_free(gpointer wish)
{
	changer_wish_free(wish);
}

static void place_done(struct place *place)
{
	struct flag_place *mine = (struct flag_place *)place;

	g_clear_handle_id(&mine->timer, g_source_remove);
	g_queue_clear(&mine->ready);
}

struct changer *changer_new(struct engine *engine)
{
	struct changer *changer = g_new0(struct changer, 1);

	changer->engine = engine;
	changer->map = place_map_new(sizeof(struct flag_place), wish_free, place_done);
	changer->batches = g_hash_table_new(NULL, NULL);
	changer->writing = g_hash_table_new(NULL, NULL);
	return changer;
}

/* The pool is gone already: no batch is under way, whatever was. */
void changer_free(struct changer *changer)
{
	GHashTableIter iter;
	gpointer item;

	g_hash_table_iter_init(&iter, changer->writing);
	while (g_hash_table_iter_next(&iter, &item, NULL))
		((struct wish_row *)item)->changer = NULL;
	g_hash_table_iter_init(&iter, changer->batches);
	while (g_hash_table_iter_next(&iter, &item, NULL))
		changer_batch_free(item);
	place_map_free(changer->map);
	g_hash_table_unref(changer->batches);
	g_hash_table_unref(changer->writing);
	g_free(changer);
}

static struct flag_place *get_place(struct changer *changer, const char *folder,
	uint32_t uidvalidity)
{
	struct flag_place *place =
		(struct flag_place *)place_get(changer->map, folder, uidvalidity);

	place->changer = changer;
	return place;
}

static struct wish *get_wish(struct flag_place *place, uint32_t uid)
{
	struct wish *wish = place_item(&place->place, uid);

	if (wish)
		return wish;
	wish = g_new0(struct wish, 1);
	wish->place = place;
	wish->uid = uid;
	g_queue_init(&wish->rows);
	place_put(&place->place, uid, wish);
	place->changer->wishes++;
	return wish;
}

void changer_end_wish(struct wish *wish)
{
	struct flag_place *place = wish->place;

	if (!place)
		return;
	place->changer->wishes--;
	if (wish->is_ready)
		g_queue_remove(&place->ready, wish);
	wish->is_ready = false;
	place_steal(&place->place, wish->uid);
	wish->place = NULL;
	if (!wish->batch)
		changer_wish_free(wish);
}

/* ---- what is shown ----------------------------------------------------------------------------- */

struct folder *changer_folder(const struct flag_place *place)
{
	struct folder *folder = tree_by_name(place->changer->engine->tree, place->place.folder);

	if (!folder || !folder->box || folder->box->uidvalidity != place->place.uidvalidity)
		return NULL;
	return folder;
}

static void apply_rows(const struct wish *wish, unsigned *flags, char **words)
{
	for (GList *at = wish->rows.head; at; at = at->next)
		delta_apply(&((struct wish_row *)at->data)->delta, flags, words);
}

void changer_set_base(struct wish *wish, unsigned flags, const char *words)
{
	char *copy = g_strdup(words); /* may be the one that goes */

	wish->has_base = true;
	wish->base = flags;
	g_free(wish->base_words);
	wish->base_words = copy;
}

void changer_show(struct wish *wish)
{
	struct folder *folder = wish->place ? changer_folder(wish->place) : NULL;
	struct message *message = folder ? mailbox_find(folder->box, wish->uid) : NULL;
	g_autofree char *words = g_strdup(wish->base_words);
	unsigned flags = wish->base;
	struct engine *engine;
	bool was_seen;

	if (!message || !wish->has_base)
		return;
	engine = wish->place->changer->engine;
	apply_rows(wish, &flags, &words);
	was_seen = (message->flags & MAILFS_FLAG_SEEN) != 0;
	if (!mailbox_set_flags(folder->box, message, flags,
			mailbox_intern_keyword_text(folder->box, words)))
		return;
	message->ctime_ns = MAX(clock_realtime_ns(), message->ctime_ns + 1);
	if (!was_seen && (message->flags & MAILFS_FLAG_SEEN) != 0)
		message->seen_time = (uint32_t)(message->ctime_ns / 1000000000);
	folder->unseen = folder->box->unseen;
	engine->events.message_changed(engine->user, folder, wish->uid);
	engine_tell_news(engine, ENGINE_NEWS_FLAGS, folder, wish->uid, NULL, true);
}

bool changer_overlay(struct changer *changer, const struct folder *folder, struct mailbox *box,
	uint32_t uid, unsigned *flags, uint32_t *keywords)
{
	struct wish *wish = changer->wishes == 0 ? NULL :
		place_item(place_find(changer->map, folder->name, box->uidvalidity), uid);
	g_autofree char *words = NULL;

	if (!wish)
		return false;
	changer_set_base(wish, *flags, mailbox_keywords(box, *keywords));
	words = g_strdup(wish->base_words);
	apply_rows(wish, flags, &words);
	*keywords = mailbox_intern_keyword_text(box, words);
	return true;
}

bool changer_base(const struct changer *changer, const struct folder *folder,
	const struct mailbox *box, uint32_t uid, unsigned *ret_flags, const char **ret_words)
{
	const struct wish *wish = changer->wishes == 0 ? NULL :
		place_item(place_find(changer->map, folder->name, box->uidvalidity), uid);

	if (!wish || !wish->has_base)
		return false;
	*ret_flags = wish->base;
	*ret_words = wish->base_words;
	return true;
}

/* ---- rows -------------------------------------------------------------------------------------- */

static void waiter_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	((struct wish_row *)waiter)->done = NULL;
}

static void waiter_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct wish_row *row = (struct wish_row *)waiter;
	engine_done_fn done = row->done;

	row->done = NULL;
	done(row->user, error);
}

const struct engine_waiter_class changer_waiter_class = {
	.cancel = waiter_cancel,
	.fail = waiter_fail,
};

static void row_answer(struct changer *changer, struct wish_row *row, const GError *error)
{
	if (!row->done)
		return;
	engine_waiter_remove(changer->engine, &row->waiter);
	waiter_fail(changer->engine, &row->waiter, error);
}

struct delta changer_compose(const struct wish *wish, enum row_state state)
{
	struct delta all = delta_make(0, 0, g_strdup(""), g_strdup(""));

	for (GList *at = wish->rows.head; at; at = at->next) {
		const struct wish_row *row = at->data;
		struct delta both;

		if (row->state != state)
			continue;
		both = delta_then(&all, &row->delta);
		delta_clear(&all);
		all = both;
	}
	return all;
}

void changer_take_rows(struct wish *wish, bool sent_only, GPtrArray *rows)
{
	GList *next;

	for (GList *at = wish->rows.head; at; at = next) {
		struct wish_row *row = at->data;

		next = at->next;
		if (sent_only && row->state != ROW_SENT)
			continue;
		g_queue_delete_link(&wish->rows, at);
		row->wish = NULL;
		g_ptr_array_add(rows, row);
	}
}

void changer_answer_rows(struct changer *changer, GPtrArray *rows, const GError *error)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	for (guint i = 0; i < rows->len; i++)
		g_array_append_val(ids, ((struct wish_row *)g_ptr_array_index(rows, i))->id);
	if (ids->len > 0)
		journal_drop(changer->engine->config.journal, (const uint64_t *)ids->data, ids->len,
			JOURNAL_LAZY, NULL, NULL);
	for (guint i = 0; i < rows->len; i++) {
		struct wish_row *row = g_ptr_array_index(rows, i);

		row_answer(changer, row, error);
		if (row->state != ROW_WRITING)
			row_free(row);
	}
	g_ptr_array_unref(rows);
}

void changer_give_up(struct flag_place *place, const GError *error)
{
	struct changer *changer = place->changer;
	GPtrArray *rows = g_ptr_array_new();
	g_autoptr(GArray) uids = place_uids(&place->place);

	if (uids->len > 0)
		engine_add_reason(changer->engine,
			"%s: the changes of flags of %u messages (UID %u …) were dropped: %s",
			place->place.folder, uids->len, g_array_index(uids, uint32_t, 0),
			error->message);
	for (guint i = 0; i < uids->len; i++) {
		struct wish *wish = place_item(&place->place, g_array_index(uids, uint32_t, i));

		changer_take_rows(wish, false, rows);
		changer_show(wish);
		changer_end_wish(wish);
	}
	changer_answer_rows(changer, rows, error);
}

/* ---- into the journal -------------------------------------------------------------------------- */

static void on_journalled(void *user, const GError *error)
{
	struct wish_row *row = user;
	struct changer *changer = row->changer;
	struct wish *wish = row->wish;

	if (changer)
		g_hash_table_remove(changer->writing, row);
	if (!changer || !wish) {
		row_free(row);
		return;
	}
	row->state = ROW_READY;
	if (error) {
		GPtrArray *rows = g_ptr_array_new();

		g_queue_remove(&wish->rows, row);
		g_ptr_array_add(rows, row);
		changer_show(wish);
		if (g_queue_is_empty(&wish->rows))
			changer_end_wish(wish);
		changer_answer_rows(changer, rows, error);
		return;
	}
	changer_want(wish);
	if (!changer->engine->config.is_flags_sync)
		row_answer(changer, row, NULL);
}

static void write_row(struct changer *changer, const struct wish *wish, struct wish_row *row)
{
	const struct place *place = &wish->place->place;
	struct journal *journal = changer->engine->config.journal;

	row->id = journal_new_id(journal);
	g_hash_table_add(changer->writing, row);
	journal_put_flags(journal,
		&(struct journal_flags){
			.id = row->id,
			.folder = place->folder,
			.uidvalidity = place->uidvalidity,
			.uid = wish->uid,
			.add = row->delta.add,
			.remove = row->delta.remove,
			.add_keywords = *row->delta.add_words != '\0' ? row->delta.add_words : NULL,
			.remove_keywords =
				*row->delta.remove_words != '\0' ? row->delta.remove_words : NULL,
		},
		JOURNAL_LAZY, on_journalled, row);
}

void changer_on_row(void *user, const struct journal_flags *stored)
{
	struct change_start *start = user;
	struct changer *changer = start->engine->changer;
	struct wish_row *row = g_new0(struct wish_row, 1);

	row->changer = changer;
	row->id = stored->id;
	row->state = ROW_READY;
	row->delta = delta_make(stored->add, stored->remove,
		g_strdup(stored->add_keywords ? stored->add_keywords : ""),
		g_strdup(stored->remove_keywords ? stored->remove_keywords : ""));
	row->wish = get_wish(get_place(changer, stored->folder, stored->uidvalidity), stored->uid);
	g_queue_push_tail(&row->wish->rows, row);
	changer_want(row->wish);
}

void changer_add(struct engine *engine, const struct folder *folder, const struct message *message,
	struct wish_row *row)
{
	struct wish *wish = get_wish(
		get_place(engine->changer, folder->name, folder->box->uidvalidity), message->uid);

	if (!wish->has_base)
		changer_set_base(wish, message->flags,
			mailbox_keywords(folder->box, message->keywords));
	row->changer = engine->changer;
	row->wish = wish;
	g_queue_push_tail(&wish->rows, row);
	changer_show(wish);
	write_row(engine->changer, wish, row);
}
