/* SPDX-License-Identifier: MIT */
/*
 * What may be moved or removed, and whether it is promised (the burst rule of changes.h). Loop
 * thread.
 */
#include "base/clock.h"
#include "engine/mover_impl.h"

#define BURST_US (1 * G_USEC_PER_SEC)

/* ---- a request --------------------------------------------------------------------------------- */

static bool is_away(const struct engine *engine)
{
	enum engine_state state = pool_state(engine->pool);

	return state == ENGINE_OFFLINE || state == ENGINE_LOGIN_REFUSED || state == ENGINE_STOPPED;
}

static bool may_leave(const struct engine *engine, const struct folder *source, uint32_t uid,
	GError **error)
{
	const struct move *other;

	if (!source || !source->box || !mailbox_find(source->box, uid) ||
		engine_is_hidden(engine, source->box->id, uid)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more");
		return false;
	}
	if (!changes_allowed(engine, source, MAILFS_RIGHT_DELETE, error))
		return false;
	other = place_item(place_of(engine->mover->map, source), uid);
	if (other)
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_IN_USE, "the message is on its way already");
	else if (is_away(engine))
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE, "offline");
	return !other && !is_away(engine);
}

static bool may_enter(const struct engine *engine, const struct folder *target, GError **error)
{
	if ((target->flags & MAILFS_FOLDER_NOSELECT) != 0 || !target->name) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE, "the folder holds no messages");
		return false;
	}
	return changes_allowed(engine, target, MAILFS_RIGHT_INSERT, error);
}

/* Moves within a burst are promised; the failure of one that was comes back here. */
static engine_ticket begin(struct engine *engine, const struct folder *source, uint32_t uid,
	const struct folder *target, const char *name, engine_done_fn done, void *user)
{
	struct lane *lane = mover_lane(engine->mover, source->name, source->box->uidvalidity,
		target ? target->name : NULL);
	int64_t now = clock_monotonic_us();
	struct move *move;

	if (lane->failure) {
		g_autoptr(GError) failure = g_steal_pointer(&lane->failure);

		done(user, failure);
		return 0;
	}
	move = move_new(lane, source, uid, name);
	move->is_promised = !engine->config.confirms_each && now < lane->burst_until_us;
	if (move->is_promised)
		lane->burst_until_us = now + BURST_US;
	move->can_cancel = true;
	move->done = done;
	move->user = user;
	engine_waiter_add(engine, &move->waiter, &move_waiter_class);
	move_submit(move);
	return move->waiter.ticket;
}

engine_ticket engine_move(struct engine *engine, uint32_t box_id, uint32_t uid,
	struct folder *target, const char *name, engine_done_fn done, void *user)
{
	const struct folder *source = tree_by_box(engine->tree, box_id);
	g_autoptr(GError) error = NULL;

	if (source == target)
		return engine_give_name(engine, box_id, uid, name, done, user);
	if (!engine->config.backend->move && !engine->config.is_read_only)
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_READ_ONLY, "the server has no folders");
	if (error || !may_leave(engine, source, uid, &error) || !may_enter(engine, target, &error)) {
		done(user, error);
		return 0;
	}
	return begin(engine, source, uid, target, name, done, user);
}

/* By its attribute only: nothing is thrown away because of a name (NM-10). */
static struct folder *find_trash(const struct engine *engine)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, engine->tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct folder *folder = value;

		if (folder->role && g_ascii_strcasecmp(folder->role, "\\Trash") == 0 &&
			(folder->flags & MAILFS_FOLDER_NOSELECT) == 0)
			return folder;
	}
	return NULL;
}

static bool is_within(const struct folder *folder, const struct folder *top)
{
	for (; folder; folder = folder->parent) {
		if (folder == top)
			return true;
	}
	return false;
}

static bool may_delete(struct engine *engine, const struct folder *trash, bool is_for_ever,
	GError **error)
{
	if (engine->config.delete_mode == ENGINE_DELETE_NO) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE, "delete=no is set");
	} else if (!is_for_ever && !trash) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE,
			"the server names no folder for trash (\\Trash); "
			"-o delete=expunge removes for ever");
	} else if (is_for_ever ? !engine->config.backend->remove : !engine->config.backend->move) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE, "the server cannot do that");
	} else {
		return true;
	}
	engine_add_reason(engine, "rm: %s", (*error)->message);
	return false;
}

static bool is_for_ever(const struct engine *engine, const struct folder *source,
	const struct folder *trash)
{
	return engine->config.delete_mode == ENGINE_DELETE_EXPUNGE ||
		(source && trash && is_within(source, trash));
}

bool engine_may_delete(struct engine *engine, uint32_t box_id, uint32_t uid, GError **error)
{
	const struct folder *source = tree_by_box(engine->tree, box_id);
	const struct folder *trash = find_trash(engine);
	bool goes_for_ever = is_for_ever(engine, source, trash);

	return may_leave(engine, source, uid, error) &&
		may_delete(engine, trash, goes_for_ever, error) &&
		(goes_for_ever || may_enter(engine, trash, error));
}

engine_ticket engine_delete(struct engine *engine, uint32_t box_id, uint32_t uid,
	engine_done_fn done, void *user)
{
	const struct folder *source = tree_by_box(engine->tree, box_id);
	const struct folder *trash = find_trash(engine);
	g_autoptr(GError) error = NULL;

	if (!engine_may_delete(engine, box_id, uid, &error)) {
		done(user, error);
		return 0;
	}
	return begin(engine, source, uid, is_for_ever(engine, source, trash) ? NULL : trash, NULL, done,
		user);
}

void mover_remove_now(struct mover *mover, const struct folder *folder, uint32_t uidvalidity,
	uint32_t uid, engine_done_fn done, void *user)
{
	struct lane *lane = mover_lane(mover, folder->name, uidvalidity, NULL);
	g_autoptr(GError) error = NULL;
	struct move *move;

	if (place_item(lane_place(lane), uid))
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_IN_USE, "the message is on its way already");
	else if (!mover->engine->config.backend->remove)
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE, "the server cannot do that");
	else
		changes_allowed(mover->engine, folder, MAILFS_RIGHT_DELETE, &error);
	if (error) {
		if (done)
			done(user, error);
		return;
	}
	move = move_new(lane, folder, uid, NULL);
	move->is_promised = true;
	move->done = done;
	move->user = user;
	move_submit(move);
}

bool engine_is_hidden(const struct engine *engine, uint32_t box_id, uint32_t uid)
{
	const struct folder *folder;
	const struct move *move;

	folder = tree_by_box(engine->tree, box_id);
	if (folder && outbox_hides(engine->outbox, folder, uid))
		return true;
	if (engine->mover->moves == 0)
		return false;
	move = folder ? place_item(place_of(engine->mover->map, folder), uid) : NULL;
	return move && (move->is_promised || move->state == MOVE_LEFT);
}
