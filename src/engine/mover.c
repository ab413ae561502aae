/* SPDX-License-Identifier: MIT */
/*
 * Messages that go to another folder, or for ever: what may go, the burst rule, the journal, and
 * whom to tell. Nothing is sent before its row is in the journal. Loop thread.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/mover_impl.h"

/* ---- one move ---------------------------------------------------------------------------------- */

static void waiter_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	((struct move *)waiter)->done = NULL;
}

static void waiter_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct move *move = (struct move *)waiter;
	engine_done_fn done = move->done;

	move->done = NULL;
	done(move->user, error);
}

const struct engine_waiter_class move_waiter_class = {
	.cancel = waiter_cancel,
	.fail = waiter_fail,
};

void move_answer(struct move *move, const GError *error)
{
	if (!move->done)
		return;
	if (move->can_cancel)
		engine_waiter_remove(move->mover->engine, &move->waiter);
	waiter_fail(move->mover->engine, &move->waiter, error);
}

static void move_free(gpointer data)
{
	struct move *move = data;

	g_free(move->arrival);
	g_free(move->name);
	g_free(move);
}

/* Of the map: one that the journal has not answered frees itself then. */
static void move_unmap(gpointer data)
{
	struct move *move = data;

	if (move->state == MOVE_WRITING)
		move->mover = NULL;
	else
		move_free(move);
}

struct place *lane_place(const struct lane *lane)
{
	return place_get(lane->mover->map, lane->folder, lane->uidvalidity);
}

void move_end(struct move *move)
{
	struct mover *mover = move->mover;

	if (move->id != 0)
		journal_drop(mover->engine->config.journal, &move->id, 1, JOURNAL_LAZY, NULL, NULL);
	mover->moves--;
	move_unlist_arrival(move);
	place_steal(lane_place(move->lane), move->uid);
	move_free(move);
}

void move_refuse(struct move *move, const GError *error)
{
	struct lane *lane = move->lane;
	struct engine *engine = move->mover->engine;
	struct folder *folder = lane_source(lane);
	bool was_hidden = move->is_promised;

	if (!move->done || move->is_promised)
		engine_add_reason(engine, "%s: message %u stays where it is: %s",
			folder ? folder->path : lane->folder, move->uid, error->message);
	if (move->is_promised && !move->done && !lane->failure)
		lane->failure = g_error_copy(error);
	lane->burst_until_us = 0;
	move_answer(move, error);
	move_end(move);
	if (was_hidden && folder)
		changes_touch_listing(engine, folder);
}

/* ---- lanes ------------------------------------------------------------------------------------- */

static void lane_free(gpointer data)
{
	struct lane *lane = data;

	if (lane->batch)
		move_batch_free(lane->batch);
	g_clear_handle_id(&lane->timer, g_source_remove);
	lane_drop_resolver(lane);
	g_queue_clear(&lane->queue);
	g_ptr_array_unref(lane->unknown);
	g_ptr_array_unref(lane->landed);
	g_clear_error(&lane->failure);
	g_free(lane->key);
	g_free(lane->folder);
	g_free(lane->target);
	g_free(lane);
}

static char *make_key(const char *folder, uint32_t uidvalidity, const char *target)
{
	return g_strdup_printf("%u %s%c%s", uidvalidity, folder, target ? '\n' : '\r',
		target ? target : "");
}

struct lane *mover_lane(struct mover *mover, const char *folder, uint32_t uidvalidity,
	const char *target)
{
	g_autofree char *key = make_key(folder, uidvalidity, target);
	struct lane *lane = g_hash_table_lookup(mover->lanes, key);

	if (lane)
		return lane;
	lane = g_new0(struct lane, 1);
	lane->mover = mover;
	lane->key = g_steal_pointer(&key);
	lane->folder = g_strdup(folder);
	lane->uidvalidity = uidvalidity;
	lane->target = g_strdup(target);
	g_queue_init(&lane->queue);
	lane->unknown = g_ptr_array_new();
	lane->landed = g_ptr_array_new();
	g_hash_table_insert(mover->lanes, lane->key, lane);
	return lane;
}

/* One of that key that is there already is of a folder that is no more; both live on. */
void lane_rekey(struct lane *lane)
{
	struct mover *mover = lane->mover;
	char *key = make_key(lane->folder, lane->uidvalidity, lane->target);

	g_free(lane->key);
	lane->key = key;
	while (g_hash_table_contains(mover->lanes, lane->key)) {
		key = g_strconcat(lane->key, "\n", NULL);
		g_free(lane->key);
		lane->key = key;
	}
	g_hash_table_insert(mover->lanes, lane->key, lane);
}

struct folder *lane_source(const struct lane *lane)
{
	struct folder *folder = tree_by_name(lane->mover->engine->tree, lane->folder);

	if (!folder || !folder->box || folder->box->uidvalidity != lane->uidvalidity)
		return NULL;
	return folder;
}

struct folder *lane_target(const struct lane *lane)
{
	return lane->target ? tree_by_name(lane->mover->engine->tree, lane->target) : NULL;
}

/* ---- the journal ------------------------------------------------------------------------------- */

void move_write(struct move *move, store_done_fn done, void *user)
{
	const struct lane *lane = move->lane;

	journal_put_move(move->mover->engine->config.journal,
		&(struct journal_move){
			.id = move->id,
			.kind = lane->target ? JOURNAL_MOVE : JOURNAL_REMOVE,
			.folder = lane->folder,
			.uidvalidity = lane->uidvalidity,
			.uid = move->uid,
			.target = lane->target,
			.target_uidvalidity = move->target_uidvalidity,
			.target_floor = move->target_floor,
			.target_uid = move->target_uid,
			.name = move->name,
			.size = move->size,
			.date = move->date,
			.is_promised = move->is_promised,
		},
		JOURNAL_LAZY, done, user);
}

static void on_journalled(void *user, const GError *error)
{
	struct move *move = user;
	struct mover *mover = move->mover;
	struct lane *lane = move->lane;

	if (!mover) {
		move_free(move);
		return;
	}
	g_hash_table_remove(mover->writing, move);
	lane->writing--;
	move->state = MOVE_QUEUED;
	/* Of what was replaced: the row of the new message tells of it until this one is written. */
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_NO_SPACE) && !move->done &&
		!move->can_cancel) {
		move_write(move, NULL, NULL);
		error = NULL;
	}
	if (error) {
		move_unlist_arrival(move);
		move->is_promised = false;
		move_refuse(move, error);
		mover_check_settlers(mover);
		return;
	}
	lane_want(lane, move);
	/* The answer of the outbox, which cannot be cancelled, waits for the server all the same. */
	if (move->is_promised && move->can_cancel)
		move_answer(move, NULL);
}

static char *arrival_key(const char *target, const char *name)
{
	return g_strconcat(target, "\n", name, NULL);
}

void move_list_arrival(struct move *move)
{
	if (!move->is_promised || !move->name || !move->lane->target || move->arrival)
		return;
	move->arrival = arrival_key(move->lane->target, move->name);
	g_hash_table_replace(move->mover->arriving, move->arrival, move);
}

/* Another one of that name may have taken its place in the table. */
void move_unlist_arrival(struct move *move)
{
	GHashTable *arriving = move->mover->arriving;

	if (move->arrival && g_hash_table_lookup(arriving, move->arrival) == move)
		g_hash_table_remove(arriving, move->arrival);
	g_clear_pointer(&move->arrival, g_free);
}

bool engine_find_arriving(const struct engine *engine, const struct folder *target,
	const char *name, uint32_t *ret_box_id, uint32_t *ret_uid)
{
	GHashTable *arriving = engine->mover->arriving;
	g_autofree char *key = NULL;
	const struct folder *source;
	const struct move *move;

	if (g_hash_table_size(arriving) == 0 || !target->name)
		return false;
	key = arrival_key(target->name, name);
	move = g_hash_table_lookup(arriving, key);
	if (!move)
		return false;
	source = lane_source(move->lane);
	*ret_box_id = source ? source->box->id : 0;
	*ret_uid = move->uid;
	return true;
}

void mover_on_row(void *user, const struct journal_move *row)
{
	struct change_start *start = user;
	struct mover *mover = start->engine->mover;
	struct lane *lane = mover_lane(mover, row->folder, row->uidvalidity, row->target);
	struct move *move;

	/* Nobody waits for it, and a removal is never half done. */
	if ((!row->target && !row->is_promised) || place_item(lane_place(lane), row->uid)) {
		journal_drop(start->engine->config.journal, &row->id, 1, JOURNAL_LAZY, NULL, NULL);
		return;
	}
	move = g_new0(struct move, 1);
	move->mover = mover;
	move->lane = lane;
	move->id = row->id;
	move->uid = row->uid;
	move->is_promised = row->is_promised;
	move->name = g_strdup(row->name);
	move->size = row->size;
	move->date = row->date;
	move->target_uidvalidity = row->target_uidvalidity;
	move->target_floor = row->target_floor;
	move->target_uid = row->target_uid;
	mover->moves++;
	place_put(lane_place(lane), row->uid, move);
	move_list_arrival(move);
	/* mover_online() goes on, with all of them at once. */
	if (row->target)
		lane_doubt(lane, move);
	else
		lane_queue(lane, move);
}

/* ---- a new one ---------------------------------------------------------------------------------- */

struct move *move_new(struct lane *lane, const struct folder *source, uint32_t uid,
	const char *name)
{
	struct mover *mover = lane->mover;
	const struct folder *target = lane_target(lane);
	const struct message *message = source->box ? mailbox_find(source->box, uid) : NULL;
	struct move *move = g_new0(struct move, 1);

	move->mover = mover;
	move->lane = lane;
	move->id = journal_new_id(mover->engine->config.journal);
	move->uid = uid;
	move->name = g_strdup(name);
	if (message) {
		move->size = message->size;
		move->date = message->date;
	}
	if (target && target->box) {
		move->target_uidvalidity = target->box->uidvalidity;
		move->target_floor = mailbox_uid_max(target->box);
	}
	mover->moves++;
	place_put(lane_place(lane), uid, move);
	return move;
}

void move_submit(struct move *move)
{
	move->state = MOVE_WRITING;
	move_list_arrival(move);
	move->lane->writing++;
	g_hash_table_add(move->mover->writing, move);
	move_write(move, on_journalled, move);
}

/* ---- life -------------------------------------------------------------------------------------- */

struct mover *mover_new(struct engine *engine)
{
	struct mover *mover = g_new0(struct mover, 1);

	mover->engine = engine;
	mover->map = place_map_new(sizeof(struct place), move_unmap, NULL);
	mover->lanes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, lane_free);
	mover->writing = g_hash_table_new(NULL, NULL);
	mover->arriving = g_hash_table_new(g_str_hash, g_str_equal);
	mover->settlers = g_ptr_array_new_with_free_func(g_free);
	mover->drops = g_ptr_array_new();
	return mover;
}

/* The pool is gone already. */
void mover_free(struct mover *mover)
{
	g_hash_table_unref(mover->lanes);
	g_hash_table_unref(mover->arriving);
	place_map_free(mover->map);
	g_hash_table_unref(mover->writing);
	g_ptr_array_unref(mover->settlers);
	mover_disown_drops(mover);
	g_free(mover);
}
