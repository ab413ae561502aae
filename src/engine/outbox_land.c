/* SPDX-License-Identifier: MIT */
/*
 * The message is on the server: the index learns of it, it takes the draft's name, in one change of
 * the listing, and only then what it replaces is removed.
 */
#include "engine/outbox_impl.h"

#include <string.h>

#include "base/fault.h"
#include "engine/delta.h"

/* ---- what it replaces --------------------------------------------------------------------------
 */

static void remove_one(struct outbox_item *item, uint32_t uidvalidity, uint32_t uid)
{
	struct outbox *outbox = item->outbox;
	const struct folder *folder = outbox_folder(item);

	if (uid == 0 || !folder)
		return;
	fault_point("outbox: before removal of the replaced message");
	mover_remove_now(outbox->engine->mover, folder, uidvalidity, uid, NULL, NULL);
}

/* The mover has journalled each before our row goes: it keeps the order of calls. */
static void remove_replaced(struct outbox_item *item)
{
	remove_one(item, item->replaces_uidvalidity, item->draft.replaces_uid);
	outbox_set_replaces(item, 0, 0);
	while (item->predecessors->len > 0) {
		struct outbox_item *former = item->predecessors->pdata[0];

		remove_one(former, former->wire.uidvalidity, former->uid);
		remove_replaced(former);
		outbox_drop(former);
	}
}

static void show_replaced(struct outbox_item *item)
{
	outbox_set_replaces(item, 0, 0);
	while (item->predecessors->len > 0) {
		struct outbox_item *former = item->predecessors->pdata[0];

		show_replaced(former);
		outbox_drop(former);
	}
}

void outbox_give_up(struct outbox_item *item)
{
	outbox_hold(item);
	show_replaced(item);
	outbox_drop(item);
	outbox_touch(item);
	outbox_release(item);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void put_flags(struct outbox_item *item, uint32_t uid)
{
	struct engine *engine = item->outbox->engine;
	const struct folder *folder = outbox_folder(item);
	/* A former process has sent it, with flags that are not known: none is taken away. */
	bool is_known = item->wire.keywords != NULL;
	g_auto(GStrv) words = NULL;

	if (item->draft.flags == item->wire.flags &&
		strcmp(item->draft.keywords, is_known ? item->wire.keywords : "") == 0)
		return;
	words = g_strsplit(item->draft.keywords, " ", -1);
	engine_change_flags(engine, folder->box->id, uid,
		&(struct engine_flag_change){
			.is_replacement = is_known,
			.add = item->draft.flags,
			.add_keywords = (const char *const *)words,
		},
		outbox_ignore, NULL);
}

/* The name changes hands. Tells nobody. */
static void hand_over(struct outbox_item *item)
{
	if (!item->key)
		return;
	names_set(item->outbox->engine->names, item->wire.folder, item->wire.uidvalidity, item->uid,
		item->draft.name, NULL, NULL);
	outbox_hide(item);
}

void outbox_drop_landed(struct outbox_item *item)
{
	if (item->indexing == 0 && item->draft.handles == 0 && item->phase == OUTBOX_LANDED)
		outbox_drop(item);
}

static void on_indexed(void *user, const GError *error)
{
	struct outbox_item *item = user;

	item->indexing--;
	if (item->outbox) {
		item->outbox->indexing--;
		outbox_drop_landed(item);
	}
	outbox_release(item);
}

/* The row goes when the index has the message: a process that is killed before would show the next
 * one neither this nor that. */
static void leave(struct outbox_item *item)
{
	const struct folder *folder = outbox_folder(item);

	item->indexing++;
	item->outbox->indexing++;
	store_batch_commit(store_batch_new(item->outbox->engine->config.store,
				   folder && folder->box ? folder->box->id : 0),
		on_indexed, outbox_hold(item));
	outbox_set_phase(item, OUTBOX_LANDED);
	outbox_answer(item, NULL);
}

/* It has newer content by now: that will replace this. */
static void become_replaced(struct outbox_item *item)
{
	remove_replaced(item);
	outbox_set_replaces(item, item->wire.uidvalidity, item->uid);
	item->uid = 0;
	item->is_stale = false;
	outbox_wire_clear(&item->wire);
	outbox_set_phase(item, OUTBOX_IDLE);
	outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
	outbox_touch(item);
	outbox_plan(item, item->outbox->engine->config.upload_delay_ms);
	outbox_close_file(item);
}

static void stay_hidden(struct outbox_item *item)
{
	struct outbox_item *successor = g_hash_table_lookup(item->outbox->by_id, &item->successor);

	item->draft.state = DRAFT_STORED;
	outbox_set_phase(item, OUTBOX_IDLE);
	outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
	outbox_touch(item);
	if (successor)
		outbox_plan(successor, 0);
}

static void on_unlinked(void *user, const GError *error)
{
	struct outbox_item *item = user;

	if (item->outbox && error) {
		/* It is a message, then. */
		item->is_unlinking = false;
		hand_over(item);
		remove_replaced(item);
		outbox_touch(item);
		outbox_answer(item, error);
		outbox_drop(item);
	} else if (item->outbox) {
		outbox_hide(item);
		remove_replaced(item);
		outbox_touch(item);
		item->draft.is_unlinked = true;
		leave(item);
	}
	outbox_release(item);
}

/* What was shown as being on the server goes where its messages go. */
static void remove_landed(struct outbox_item *item)
{
	struct engine *engine = item->outbox->engine;
	const struct folder *folder = outbox_folder(item);

	outbox_hold(item);
	if (item->was_stored)
		engine_delete(engine, folder->box->id, item->uid, on_unlinked, item);
	else
		mover_remove_now(engine->mover, folder, item->wire.uidvalidity, item->uid, on_unlinked,
			item);
}

static void landed(struct outbox_item *item)
{
	struct outbox *outbox = item->outbox;

	fault_point("outbox: landed");
	outbox_hold(item);
	item->is_urgent = false;
	if (item->successor != 0) {
		stay_hidden(item);
	} else if (item->is_unlinking) {
		remove_landed(item);
	} else if (item->is_stale) {
		become_replaced(item);
	} else {
		hand_over(item);
		put_flags(item, item->uid);
		remove_replaced(item);
		outbox_touch(item);
		leave(item);
	}
	outbox_release(item);
	outbox_run(outbox);
}

void outbox_landed_somewhere(struct outbox_item *item)
{
	struct outbox *outbox = item->outbox;

	outbox_hold(item);
	outbox_hide(item);
	remove_replaced(item);
	outbox_touch(item);
	leave(item);
	outbox_release(item);
	outbox_run(outbox);
}

/* ---- the index ---------------------------------------------------------------------------------
 */

static bool is_known(const struct outbox_item *item)
{
	const struct folder *folder = outbox_folder(item);

	return folder && folder->box && folder->box->uidvalidity == item->wire.uidvalidity &&
	       mailbox_find(folder->box, item->uid);
}

static void on_synced(void *user, const GError *error)
{
	struct outbox_item *item = user;

	if (item->phase != OUTBOX_LANDING)
		return;
	if (is_known(item)) {
		landed(item);
	} else if (error) {
		outbox_wait_and_see(item, error);
	} else {
		/* Not there under that UID: is it there at all? */
		item->uid = 0;
		outbox_look(item);
	}
}

void outbox_land(struct outbox_item *item)
{
	struct folder *folder = outbox_folder(item);
	g_autoptr(GError) error = NULL;

	outbox_set_phase(item, OUTBOX_LANDING);
	outbox_set_replaces(item, item->replaces_uidvalidity, item->draft.replaces_uid);
	if (!folder) {
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the folder is no more");
		outbox_refused(item, error);
	} else if (is_known(item)) {
		landed(item);
	} else {
		syncer_sync(item->outbox->engine, folder, on_synced, item);
	}
}

/* A sync has put it into the mailbox, and will tell that the listing is another. */
void outbox_message_came(
	struct engine *engine, const struct folder *folder, uint32_t uidvalidity, uint32_t uid)
{
	GHashTableIter iter;
	gpointer key;

	if (!engine->outbox || g_hash_table_size(engine->outbox->flying) == 0)
		return;
	g_hash_table_iter_init(&iter, engine->outbox->flying);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		struct outbox_item *item = key;

		if (item->uid == uid && item->phase == OUTBOX_LANDING && !item->is_stale &&
			item->successor == 0 && !item->is_unlinking &&
			item->wire.uidvalidity == uidvalidity &&
			strcmp(item->wire.folder, folder->name) == 0)
			hand_over(item);
	}
}

/* ---- and back ----------------------------------------------------------------------------------
 */

void outbox_revive(struct outbox_item *item)
{
	outbox_set_replaces(item, item->wire.uidvalidity, item->uid);
	item->uid = 0;
	outbox_wire_clear(&item->wire);
	outbox_set_phase(item, OUTBOX_IDLE);
	if (!outbox_find(item->outbox, item->draft.folder, item->draft.name))
		outbox_show(item);
	outbox_touch(item);
}
