/* SPDX-License-Identifier: MIT */
/*
 * Messages that have left: the target is looked at, so that they appear there, under the name that
 * was given; then they go from the source, and whoever waits is told. Loop thread.
 */
#include <string.h>

#include "engine/mover_impl.h"
#include "engine/sync_impl.h"

/* ---- the source -------------------------------------------------------------------------------- */

/* A sync under way has perhaps been told of the message just before it left: it must find out by
 * itself, and the message stays hidden until then. */
static bool is_syncing(const struct folder *folder)
{
	const struct sync *sync = folder->engine;

	return sync && sync->is_running;
}

/* Rows of moves that are over. They go when the index knows of both folders what the model knows: a
 * process that is killed before would show the next one neither the message nor its name. */
struct row_drop {
	struct mover *mover; /* NULL: the engine is gone */
	GArray *ids;
};

static void on_indexed(void *user, const GError *error)
{
	struct row_drop *drop = user;

	if (drop->mover) {
		g_ptr_array_remove_fast(drop->mover->drops, drop);
		journal_drop(drop->mover->engine->config.journal,
			(const uint64_t *)(void *)drop->ids->data, drop->ids->len, JOURNAL_LAZY, NULL,
			NULL);
		mover_check_settlers(drop->mover);
	}
	g_array_unref(drop->ids);
	g_free(drop);
}

static void take_row(struct move *move, GArray *ids)
{
	if (move->id != 0)
		g_array_append_val(ids, move->id);
	move->id = 0;
}

/* Takes `batch`, the last one of these moves, and `ids`. */
static void commit_and_drop(struct mover *mover, struct store_batch *batch, GArray *ids)
{
	struct row_drop *drop = g_new(struct row_drop, 1);

	*drop = (struct row_drop){ mover, ids };
	g_ptr_array_add(mover->drops, drop);
	store_batch_commit(batch, on_indexed, drop);
}

void mover_disown_drops(struct mover *mover)
{
	for (guint i = 0; i < mover->drops->len; i++)
		((struct row_drop *)g_ptr_array_index(mover->drops, i))->mover = NULL;
	g_ptr_array_unref(mover->drops);
}

/* Takes the messages out of the model and the index. Ends the moves. */
static void leave_model(struct lane *lane, GPtrArray *moves)
{
	struct mover *mover = lane->mover;
	struct engine *engine = mover->engine;
	struct folder *folder = lane_source(lane);
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct store_batch *batch;

	batch = store_batch_new(engine->config.store, folder ? folder->box->id : 0);
	for (guint i = 0; i < moves->len; i++) {
		struct move *move = g_ptr_array_index(moves, i);
		uint32_t uid = move->uid;

		take_row(move, ids);
		move_end(move);
		if (!folder || !mailbox_find(folder->box, uid))
			continue;
		store_batch_remove(batch, uid, uid);
		mailbox_remove_range(folder->box, uid, uid);
		engine_tell_news(engine, ENGINE_NEWS_EXPUNGED, folder, uid, NULL, true);
		changes_message_gone(engine, folder, uid);
		engine->events.message_gone(engine->user, folder, uid);
	}
	commit_and_drop(mover, batch, ids);
	if (folder)
		changes_touch_listing(engine, folder);
}

static void leave_source(struct lane *lane, GPtrArray *moves)
{
	struct mover *mover = lane->mover;
	struct folder *folder = lane_source(lane);
	GArray *ids;

	if (moves->len == 0)
		return;
	/* Also what the model does not know. */
	for (guint i = 0; i < moves->len && !lane->target; i++)
		vault_message_gone(mover->engine->vault, lane->folder,
			((struct move *)g_ptr_array_index(moves, i))->uid);
	if (!folder || !is_syncing(folder)) {
		leave_model(lane, moves);
		return;
	}
	ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	for (guint i = 0; i < moves->len; i++) {
		struct move *move = g_ptr_array_index(moves, i);

		take_row(move, ids);
		move->state = MOVE_LEFT;
		if (!mailbox_find(folder->box, move->uid))
			move_end(move);
	}
	commit_and_drop(mover, store_batch_new(mover->engine->config.store, folder->box->id), ids);
	syncer_sync(mover->engine, folder, NULL, NULL);
}

/* ---- the name ---------------------------------------------------------------------------------- */

GArray *move_candidates(const struct move *move)
{
	GArray *uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	const struct folder *target = lane_target(move->lane);
	const struct mailbox *box = target ? target->box : NULL;

	if (!box || move->size == 0 ||
		(move->target_uidvalidity != 0 && move->target_uidvalidity != box->uidvalidity) ||
		move->target_floor == UINT32_MAX)
		return uids;
	for (size_t i = mailbox_lower_bound(box, move->target_floor + 1); i < mailbox_count(box); i++) {
		const struct message *message = mailbox_at(box, i);

		if (message->size == move->size && message->date == move->date)
			g_array_append_val(uids, message->uid);
	}
	return uids;
}

/* Those that have a name by now are others, or this one before the process was killed. */
static void leave_out_named(const struct engine *engine, const struct mailbox *box, GArray *uids)
{
	for (guint i = uids->len; i > 0; i--) {
		if (engine_given_name(engine, box->id, g_array_index(uids, uint32_t, i - 1)))
			g_array_remove_index(uids, i - 1);
	}
}

/* Where the server has not told the UID, one that fits alone will do: it is only a name. */
static void bind_name(struct move *move)
{
	struct names *names = move->mover->engine->names;
	const struct folder *target = lane_target(move->lane);

	if (!move->name || !target)
		return;
	if (move->target_uid == 0 && target->box) {
		g_autoptr(GArray) fits = move_candidates(move);

		leave_out_named(move->mover->engine, target->box, fits);
		if (fits->len == 1) {
			move->target_uid = g_array_index(fits, uint32_t, 0);
			move->target_uidvalidity = target->box->uidvalidity;
		}
	}
	if (move->target_uid != 0)
		names_set(names, target->name, move->target_uidvalidity, move->target_uid, move->name,
			NULL, NULL);
}

/* ---- both -------------------------------------------------------------------------------------- */

void lane_land(struct lane *lane, struct move *move)
{
	move->state = MOVE_LANDED;
	if (move->target_uid != 0) {
		bind_name(move);
		g_clear_pointer(&move->name, g_free);
	}
	g_ptr_array_add(lane->landed, move);
}

static void finish_landed(struct lane *lane, guint count)
{
	struct mover *mover = lane->mover;
	g_autoptr(GPtrArray) moves = g_ptr_array_new();
	struct answer {
		engine_done_fn done;
		void *user;
	};
	g_autoptr(GArray) answers = g_array_new(FALSE, FALSE, sizeof(struct answer));

	for (guint i = 0; i < count; i++) {
		struct move *move = g_ptr_array_index(lane->landed, i);

		bind_name(move);
		move_unlist_arrival(move);
		if (move->done) {
			struct answer answer = { move->done, move->user };

			if (move->can_cancel)
				engine_waiter_remove(mover->engine, &move->waiter);
			move->done = NULL;
			g_array_append_val(answers, answer);
		}
		g_ptr_array_add(moves, move);
	}
	g_ptr_array_remove_range(lane->landed, 0, count);
	leave_source(lane, moves);
	for (guint i = 0; i < answers->len; i++) {
		struct answer *answer = &g_array_index(answers, struct answer, i);

		answer->done(answer->user, NULL);
	}
}

static bool is_waited_for(const struct lane *lane)
{
	for (guint i = 0; i < lane->landed->len; i++) {
		const struct move *move = g_ptr_array_index(lane->landed, i);

		if (move->done)
			return true;
	}
	return lane_has_settlers(lane);
}

static void on_target_synced(void *user, const GError *error)
{
	struct lane *lane = user;

	lane->is_landing = false;
	finish_landed(lane, lane->landing);
	lane_show_landed(lane);
	mover_check_settlers(lane->mover);
}

/* In the middle of a burst the target is not looked at after each batch. */
void lane_show_landed(struct lane *lane)
{
	struct folder *target = lane_target(lane);

	if (lane->landed->len == 0 || lane->is_landing)
		return;
	if (!target || !syncer_is_in_use(target)) {
		if (target)
			syncer_note_behind(lane->mover->engine, target);
		finish_landed(lane, lane->landed->len);
		return;
	}
	/* They are found where they were until then (engine_find_arriving). */
	if (!g_queue_is_empty(&lane->queue) && !is_waited_for(lane))
		return;
	lane->is_landing = true;
	lane->landing = lane->landed->len;
	syncer_sync(lane->mover->engine, target, on_target_synced, lane);
}
