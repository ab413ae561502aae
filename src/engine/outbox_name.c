/* SPDX-License-Identifier: MIT */
/* rename(2), unlink(2) and fsync(2) of a new message. */
#include "engine/outbox_impl.h"

#include <string.h>

/* ---- taking the place of others ----------------------------------------------------------------
 */

/* What it replaces in its present folder is remembered by an item of its own. */
static void leave_tombstone(struct outbox_item *item)
{
	struct outbox *outbox = item->outbox;
	struct outbox_item *stone;

	if (item->draft.replaces_uid == 0)
		return;
	stone = outbox_add(
		outbox, journal_new_id(outbox->journal), item->draft.folder, item->draft.name);
	stone->draft.state = DRAFT_STORED;
	stone->successor = item->draft.id;
	outbox_set_replaces(stone, item->replaces_uidvalidity, item->draft.replaces_uid);
	outbox_set_replaces(item, 0, 0);
	g_ptr_array_add(item->predecessors, stone);
	outbox_put_row(stone, JOURNAL_LAZY, NULL, NULL);
}

static void inherit(struct outbox_item *item, struct outbox_item *former)
{
	if (former->draft.replaces_uid != 0) {
		outbox_set_replaces(item, former->replaces_uidvalidity, former->draft.replaces_uid);
		outbox_set_replaces(former, 0, 0);
	}
	while (former->predecessors->len > 0) {
		struct outbox_item *stone = former->predecessors->pdata[0];

		g_ptr_array_remove_index(former->predecessors, 0);
		stone->successor = item->draft.id;
		outbox_put_row(stone, JOURNAL_LAZY, NULL, NULL);
		g_ptr_array_add(item->predecessors, stone);
	}
}

/* True: nothing is left of `former` but its row and its bytes, to be dropped when the row of `item`
 * is safe. */
static bool supersede(struct outbox_item *item, struct outbox_item *former)
{
	bool is_flying = former->phase != OUTBOX_IDLE && former->phase != OUTBOX_LANDED;

	outbox_hide(former);
	outbox_unplan(former);
	if (!is_flying && (former->draft.replaces_uid == 0 || item->draft.replaces_uid == 0)) {
		inherit(item, former);
		return true;
	}
	former->successor = item->draft.id;
	if (!is_flying) {
		former->draft.state = DRAFT_STORED;
		outbox_wire_clear(&former->wire);
	} else if (former->phase == OUTBOX_LOST) {
		outbox_plan(former, 0);
	}
	g_ptr_array_add(item->predecessors, former);
	outbox_put_row(former, JOURNAL_LAZY, NULL, NULL);
	return false;
}

/* ---- rename ------------------------------------------------------------------------------------
 */

struct rename {
	struct outbox_item *item;
	struct outbox_item *former; /* dropped when the row is safe; NULL = none */
	char *folder, *name;        /* until the outcome of the upload is known */
	char *old_folder, *old_name; /* to go back to if the row cannot be written; NULL: no way */
	uint32_t over_uidvalidity, over_uid; /* likewise */
	engine_done_fn done;
	void *user;
};

static void rename_end(struct rename *rename, const GError *error)
{
	if (rename->item->outbox)
		rename->done(rename->user, error);
	if (rename->former)
		outbox_release(rename->former);
	outbox_release(rename->item);
	g_free(rename->folder);
	g_free(rename->name);
	g_free(rename->old_folder);
	g_free(rename->old_name);
	g_free(rename);
}

/* Nothing is left behind by it, and nothing was inherited. */
static bool can_go_back(const struct outbox_item *item, const struct outbox_item *former)
{
	return item->draft.replaces_uid == 0 && item->phase == OUTBOX_IDLE &&
	       (!former || (former->phase == OUTBOX_IDLE && former->draft.replaces_uid == 0 &&
				   former->predecessors->len == 0));
}

/* The disk is full: as if nobody had asked. */
static void go_back(struct rename *rename)
{
	struct outbox_item *item = rename->item, *former = rename->former;

	if (!rename->old_name || item->is_dropped || item->phase != OUTBOX_IDLE ||
		outbox_find(item->outbox, rename->old_folder, rename->old_name))
		return;
	outbox_touch(item);
	outbox_set_replaces(item, 0, 0);
	outbox_rename(item, rename->old_folder, rename->old_name);
	if (former && !former->is_dropped && !former->key) {
		outbox_show(former);
		outbox_plan(former, item->outbox->engine->config.upload_delay_ms);
	}
	outbox_touch(item);
}

static void on_row(void *user, const GError *error)
{
	struct rename *rename = user;

	if (rename->item->outbox && error)
		go_back(rename);
	if (rename->former && rename->former->outbox && !error)
		outbox_drop(rename->former);
	rename_end(rename, error);
}

static bool may_rename(const struct outbox_item *item, const struct folder *folder,
	const char *name, uint32_t over_uid, GError **error)
{
	const struct engine *engine = item->outbox->engine;
	unsigned rights = MAILFS_RIGHT_INSERT | (over_uid != 0 ? MAILFS_RIGHT_DELETE : 0);

	if (item->is_dropped) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_GONE, "it has no name any more");
		return false;
	}
	if (!folder->name || (folder->flags & MAILFS_FOLDER_NOSELECT) != 0 ||
		(over_uid != 0 && engine->config.delete_mode == ENGINE_DELETE_NO)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE,
			over_uid != 0 ? "delete=no: a message cannot be replaced"
				      : "no message can be here");
		return false;
	}
	return changes_allowed(engine, folder, rights, error) &&
	       (outbox_is_temporary(name) || outbox_has_good_omens(item, name, error));
}

static void rename_now(
	struct rename *rename, struct folder *folder, const char *name, uint32_t over_uid)
{
	struct outbox_item *item = rename->item;
	struct outbox *outbox = item->outbox;
	struct outbox_item *former = outbox_find(outbox, folder->name, name);
	bool is_elsewhere = strcmp(folder->name, item->draft.folder) != 0;
	bool must_last = over_uid != 0 || former;

	if (former == item) {
		rename_end(rename, NULL);
		return;
	}
	if (can_go_back(item, former)) {
		rename->old_folder = g_strdup(item->draft.folder);
		rename->old_name = g_strdup(item->draft.name);
	}
	if (is_elsewhere || over_uid != 0)
		leave_tombstone(item);
	if (former && supersede(item, former))
		rename->former = outbox_hold(former);
	if (is_elsewhere)
		outbox_touch(item);
	outbox_rename(item, folder->name, name);
	if (over_uid != 0) {
		leave_tombstone(item); /* of the former one */
		outbox_set_replaces(item, folder->box->uidvalidity, over_uid);
	}
	if (item->draft.state == DRAFT_FAILED && is_elsewhere) {
		item->draft.state = DRAFT_SPOOLED;
		outbox_set_reason(item, NULL);
	}
	outbox_put_row(item, must_last ? JOURNAL_SYNCED : JOURNAL_LAZY, on_row, rename);
	outbox_touch(item);
	if (item->phase == OUTBOX_IDLE)
		outbox_plan(item, outbox->engine->config.upload_delay_ms);
}

static void on_moved(void *user, const GError *error)
{
	rename_end(user, error);
}

/* It was on its way to the former folder. */
static void on_outcome(void *user, const GError *error)
{
	struct rename *rename = user;
	struct outbox_item *item = rename->item;
	struct engine *engine = item->outbox ? item->outbox->engine : NULL;
	struct folder *to = engine ? tree_by_name(engine->tree, rename->folder) : NULL;
	struct folder *from = engine ? outbox_folder(item) : NULL;

	if (item->outbox && to && from && !error && item->phase == OUTBOX_LANDED && from->box)
		engine_move(engine, from->box->id, item->uid, to, rename->name, on_moved, rename);
	else if (item->outbox && to && item->phase == OUTBOX_IDLE && !item->is_dropped)
		rename_now(rename, to, rename->name,
			to->box && to->box->uidvalidity == rename->over_uidvalidity ? rename->over_uid : 0);
	else
		rename_end(rename, error);
}

static struct rename *rename_new(struct outbox_item *item, engine_done_fn done, void *user)
{
	struct rename *rename = g_new0(struct rename, 1);

	rename->item = outbox_hold(item);
	rename->done = done;
	rename->user = user;
	return rename;
}

static void rename_landed(struct outbox_item *item, struct folder *folder, const char *name,
	engine_done_fn done, void *user)
{
	struct engine *engine = item->outbox->engine;
	const struct folder *from = outbox_folder(item);
	uint32_t box_id = from && from->box ? from->box->id : 0;

	if (from == folder)
		engine_give_name(engine, box_id, item->uid, name, done, user);
	else
		engine_move(engine, box_id, item->uid, folder, name, done, user);
}

void engine_draft_rename(struct engine *engine, struct draft *draft, struct folder *folder,
	const char *name, uint32_t over_uid, engine_done_fn done, void *user)
{
	struct outbox_item *item = outbox_item(draft);
	bool is_flying = item->phase != OUTBOX_IDLE && item->phase != OUTBOX_LANDED;
	g_autoptr(GError) error = NULL;
	struct rename *rename;

	if (!may_rename(item, folder, name, over_uid, &error)) {
		done(user, error);
		return;
	}
	if (item->phase == OUTBOX_LANDED) {
		rename_landed(item, folder, name, done, user);
		return;
	}
	rename = rename_new(item, done, user);
	if (is_flying && strcmp(folder->name, draft->folder) != 0) {
		rename->folder = g_strdup(folder->name);
		rename->name = g_strdup(name);
		rename->over_uid = over_uid;
		rename->over_uidvalidity = folder->box ? folder->box->uidvalidity : 0;
		outbox_wait_inside(item, on_outcome, rename);
	} else {
		rename_now(rename, folder, name, over_uid);
	}
}

/* ---- unlink ------------------------------------------------------------------------------------
 */

struct unlink {
	struct outbox_item *item;
	uint32_t uidvalidity, uid; /* of what it was to replace */
};

static void on_replaced_deleted(void *user, const GError *error)
{
	struct unlink *unlink = user;
	struct outbox_item *item = unlink->item;

	if (item->outbox && error) {
		outbox_set_replaces(item, unlink->uidvalidity, unlink->uid);
		outbox_answer(item, error);
	} else if (item->outbox) {
		outbox_give_up(item);
	}
	outbox_release(item);
	g_free(unlink);
}

/* What it was to replace was overwritten once: it goes too, where deleted messages go. */
static void delete_replaced(struct outbox_item *item)
{
	struct folder *folder = outbox_folder(item);
	struct unlink *unlink;

	if (!folder || !folder->box || folder->box->uidvalidity != item->replaces_uidvalidity ||
		!mailbox_find(folder->box, item->draft.replaces_uid)) {
		outbox_give_up(item);
		return;
	}
	unlink = g_new(struct unlink, 1);
	*unlink = (struct unlink){ outbox_hold(item), item->replaces_uidvalidity,
		item->draft.replaces_uid };
	outbox_set_replaces(item, 0, 0);
	engine_delete(
		item->outbox->engine, folder->box->id, unlink->uid, on_replaced_deleted, unlink);
}

static bool is_offline(const struct engine *engine)
{
	return pool_state(engine->pool) != ENGINE_ONLINE;
}

engine_ticket engine_draft_unlink(
	struct engine *engine, struct draft *draft, engine_done_fn done, void *user)
{
	struct outbox_item *item = outbox_item(draft);
	const struct folder *folder = outbox_folder(item);
	g_autoptr(GError) error = NULL;
	engine_ticket ticket;

	if (item->is_dropped)
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_GONE, "it has no name any more");
	else if (item->phase == OUTBOX_LOST && is_offline(engine))
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE,
			"it may be on the server, which is away");
	if (error) {
		done(user, error);
		return 0;
	}
	if (item->phase == OUTBOX_LANDED)
		return engine_delete(
			engine, folder && folder->box ? folder->box->id : 0, item->uid, done, user);
	ticket = outbox_wait(item, done, user);
	if (item->phase == OUTBOX_IDLE && draft->replaces_uid != 0) {
		delete_replaced(item);
	} else if (item->phase == OUTBOX_IDLE) {
		outbox_give_up(item);
	} else {
		item->is_unlinking = true;
		item->was_stored = draft->state == DRAFT_STORED;
		if (item->phase == OUTBOX_LOST)
			outbox_plan(item, 0);
	}
	/* What it was to replace may not be removed now: answered already. */
	return g_hash_table_contains(engine->waiters, &ticket) ? ticket : 0;
}

/* ---- fsync -------------------------------------------------------------------------------------
 */

struct sync_call {
	struct engine_waiter waiter; /* first */
	struct outbox_item *item;
	engine_done_fn done; /* NULL: cancelled */
	void *user;
};

static void sync_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	((struct sync_call *)waiter)->done = NULL;
}

static void sync_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct sync_call *call = (struct sync_call *)waiter;
	engine_done_fn done = call->done;

	call->done = NULL;
	done(call->user, error);
}

static const struct engine_waiter_class sync_class = {
	.cancel = sync_cancel,
	.fail = sync_fail,
};

static void sync_end(struct sync_call *call, const GError *error)
{
	if (call->done && call->item->outbox) {
		engine_waiter_remove(call->item->outbox->engine, &call->waiter);
		call->done(call->user, error);
	}
	outbox_release(call->item);
	g_free(call);
}

/* It is durable here; only a verdict on the message itself matters. */
static void on_uploaded(void *user, const GError *error)
{
	struct sync_call *call = user;
	const struct outbox_item *item = call->item;

	sync_end(call, item->draft.state == DRAFT_FAILED ? error : NULL);
}

static void on_flushed(void *user, const GError *error)
{
	struct sync_call *call = user;
	struct outbox_item *item = call->item;
	struct draft *draft = &item->draft;

	if (error || !item->outbox || is_offline(item->outbox->engine) || item->is_dropped ||
		draft->state != DRAFT_SPOOLED || draft->handles > 1 ||
		outbox_is_temporary(draft->name) || item->phase != OUTBOX_IDLE) {
		sync_end(call, error);
		return;
	}
	item->is_urgent = true;
	outbox_wait_inside(item, on_uploaded, call);
	outbox_plan(item, 0);
	outbox_run(item->outbox);
}

engine_ticket engine_draft_sync(
	struct engine *engine, struct draft *draft, engine_done_fn done, void *user)
{
	struct sync_call *call = g_new0(struct sync_call, 1);
	engine_ticket ticket;

	call->item = outbox_hold(outbox_item(draft));
	call->done = done;
	call->user = user;
	engine_waiter_add(engine, &call->waiter, &sync_class);
	ticket = call->waiter.ticket;
	outbox_flush_item(call->item, on_flushed, call);
	return g_hash_table_contains(engine->waiters, &ticket) ? ticket : 0;
}
