/* SPDX-License-Identifier: MIT */
/* What the mover hears of others, who waits until all is settled, and what it tells of what waits.
 * Loop thread. */
#include <string.h>

#include "engine/mover_impl.h"

/* ---- settled ----------------------------------------------------------------------------------- */

enum settling {
	SETTLE_ALL,
	SETTLE_ARRIVALS,   /* what comes to the folder; failures are for others to hear of */
	SETTLE_DEPARTURES, /* what leaves it; likewise */
};

struct settler {
	struct engine_waiter waiter;
	engine_done_fn done;
	void *user;
	char *folder;
	enum settling what;
};

static void settler_free(struct mover *mover, struct settler *settler)
{
	g_free(settler->folder);
	g_ptr_array_remove(mover->settlers, settler); /* frees it */
}

static void settler_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	settler_free(engine->mover, (struct settler *)waiter);
}

static void settler_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct settler *settler = (struct settler *)waiter;
	engine_done_fn done = settler->done;
	void *user = settler->user;

	settler_free(engine->mover, settler);
	done(user, error);
}

static const struct engine_waiter_class settler_class = {
	.cancel = settler_cancel,
	.fail = settler_fail,
};

static GPtrArray *all_lanes(const struct mover *mover)
{
	GPtrArray *lanes = g_ptr_array_new();
	GHashTableIter iter;
	gpointer lane;

	g_hash_table_iter_init(&iter, mover->lanes);
	while (g_hash_table_iter_next(&iter, NULL, &lane))
		g_ptr_array_add(lanes, lane);
	return lanes;
}

static bool is_of(const struct lane *lane, const char *folder, enum settling what)
{
	return (what != SETTLE_ARRIVALS && strcmp(lane->folder, folder) == 0) ||
		(what != SETTLE_DEPARTURES && g_strcmp0(lane->target, folder) == 0);
}

/* What nobody was promised is waited for by its own. */
static bool is_settled(const struct lane *lane)
{
	for (guint i = 0; i < lane->unknown->len; i++) {
		if (((struct move *)g_ptr_array_index(lane->unknown, i))->is_promised)
			return false;
	}
	return lane->writing == 0 && !lane->batch && !lane->resolver && lane->landed->len == 0 &&
		g_queue_is_empty((GQueue *)&lane->queue);
}

bool lane_has_settlers(const struct lane *lane)
{
	const GPtrArray *settlers = lane->mover->settlers;

	for (guint i = 0; i < settlers->len; i++) {
		const struct settler *settler = g_ptr_array_index(settlers, i);

		if (is_of(lane, settler->folder, settler->what))
			return true;
	}
	return false;
}

static bool is_away(const struct engine *engine)
{
	enum engine_state state = pool_state(engine->pool);

	return state == ENGINE_OFFLINE || state == ENGINE_LOGIN_REFUSED || state == ENGINE_STOPPED;
}

/* True: there is an answer. */
static bool look(struct mover *mover, const char *folder, enum settling what, GError **error)
{
	g_autoptr(GPtrArray) lanes = all_lanes(mover);
	bool all = true;

	for (guint i = 0; i < lanes->len; i++) {
		struct lane *lane = g_ptr_array_index(lanes, i);

		if (!is_of(lane, folder, what))
			continue;
		all &= is_settled(lane);
		if (lane->failure && what == SETTLE_ALL && !*error)
			*error = g_steal_pointer(&lane->failure);
	}
	if (!all && !*error && is_away(mover->engine))
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE,
			"offline: what was moved or removed is not confirmed yet");
	return all || *error;
}

/* By ticket: a callback may cancel others. */
void mover_check_settlers(struct mover *mover)
{
	g_autoptr(GArray) tickets = g_array_new(FALSE, FALSE, sizeof(engine_ticket));

	for (guint i = 0; i < mover->settlers->len; i++)
		g_array_append_val(tickets,
			((struct settler *)g_ptr_array_index(mover->settlers, i))->waiter.ticket);
	for (guint i = 0; i < tickets->len; i++) {
		struct engine_waiter *waiter = g_hash_table_lookup(mover->engine->waiters,
			&g_array_index(tickets, engine_ticket, i));
		const struct settler *settler = (struct settler *)waiter;
		g_autoptr(GError) error = NULL;

		if (!waiter || !look(mover, settler->folder, settler->what, &error))
			continue;
		engine_waiter_remove(mover->engine, waiter);
		settler_fail(mover->engine, waiter, error);
	}
}

static engine_ticket settle(struct engine *engine, const struct folder *folder, enum settling what,
	engine_done_fn done, void *user)
{
	struct mover *mover = engine->mover;
	g_autoptr(GPtrArray) lanes = all_lanes(mover);
	g_autoptr(GError) error = NULL;
	struct settler *settler;
	engine_ticket ticket;

	mover_flush(mover);
	if (!folder->name || look(mover, folder->name, what, &error)) {
		done(user, error);
		return 0;
	}
	settler = g_new0(struct settler, 1);
	settler->done = done;
	settler->user = user;
	settler->folder = g_strdup(folder->name);
	settler->what = what;
	g_ptr_array_add(mover->settlers, settler);
	engine_waiter_add(engine, &settler->waiter, &settler_class);
	ticket = settler->waiter.ticket;
	for (guint i = 0; i < lanes->len; i++)
		lane_show_landed(g_ptr_array_index(lanes, i));
	mover_check_settlers(mover);
	return g_hash_table_contains(engine->waiters, &ticket) ? ticket : 0;
}

engine_ticket engine_settle(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user)
{
	return settle(engine, folder, SETTLE_ALL, done, user);
}

engine_ticket engine_await_arrivals(struct engine *engine, struct folder *folder,
	engine_done_fn done, void *user)
{
	if (engine->mover->moves == 0) {
		done(user, NULL);
		return 0;
	}
	return settle(engine, folder, SETTLE_ARRIVALS, done, user);
}

engine_ticket engine_await_departures(struct engine *engine, struct folder *folder,
	engine_done_fn done, void *user)
{
	return settle(engine, folder, SETTLE_DEPARTURES, done, user);
}

/* What is in memory of a folder is needed by moves from and to it. */
bool mover_needs(const struct mover *mover, const struct folder *folder)
{
	GHashTableIter iter;
	gpointer value;

	if (mover->moves == 0 || !folder->name)
		return false;
	g_hash_table_iter_init(&iter, mover->lanes);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct lane *lane = value;

		if (is_of(lane, folder->name, SETTLE_ALL) &&
			g_hash_table_size(lane_place(lane)->items) > 0)
			return true;
	}
	return false;
}

bool mover_flush(struct mover *mover)
{
	g_autoptr(GPtrArray) lanes = all_lanes(mover);
	bool is_done = mover->drops->len == 0;

	for (guint i = 0; i < lanes->len; i++) {
		struct lane *lane = g_ptr_array_index(lanes, i);

		lane_go(lane, true);
		is_done &= lane->writing == 0 && !lane->batch && !lane->resolver &&
			lane->landed->len == 0 && (g_queue_is_empty(&lane->queue) || lane->is_paused);
	}
	return is_done;
}

/* ---- heard ------------------------------------------------------------------------------------- */

void mover_online(struct mover *mover)
{
	g_autoptr(GPtrArray) lanes = all_lanes(mover);

	for (guint i = 0; i < lanes->len; i++) {
		struct lane *lane = g_ptr_array_index(lanes, i);

		lane->is_paused = false;
		lane_resolve(lane);
		lane_go(lane, true);
	}
}

/* It is in a list of its lane, and nothing of it is under way: taken out. */
static bool take_out(struct move *move)
{
	struct lane *lane = move->lane;

	if (move->state == MOVE_QUEUED)
		return g_queue_remove(&lane->queue, move);
	if (move->state == MOVE_UNKNOWN)
		return g_ptr_array_remove(lane->unknown, move);
	return false;
}

void mover_box_is(struct mover *mover, const struct folder *folder, uint32_t uidvalidity)
{
	g_autoptr(GPtrArray) former = place_former(mover->map, folder, uidvalidity);
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_STALE,
		"the server has made the folder anew (UIDVALIDITY)");

	for (guint i = 0; i < former->len; i++) {
		const struct place *place = g_ptr_array_index(former, i);
		g_autoptr(GArray) uids = place_uids(place);

		for (guint n = 0; n < uids->len; n++) {
			struct move *move = place_item(place, g_array_index(uids, uint32_t, n));

			if (move && move->state == MOVE_LEFT)
				move_end(move);
			else if (move && take_out(move))
				move_refuse(move, error);
		}
	}
	if (former->len > 0)
		mover_check_settlers(mover);
}

bool mover_has(const struct mover *mover, const struct folder *folder, uint32_t uid)
{
	return mover->moves > 0 && place_item(place_of(mover->map, folder), uid);
}

void mover_message_gone(struct mover *mover, const struct folder *folder, uint32_t uid)
{
	struct move *move =
		mover->moves > 0 ? place_item(place_of(mover->map, folder), uid) : NULL;

	if (move && move->state == MOVE_LEFT)
		move_end(move);
}

static void replace(char **slot, const char *from, const char *to, char delimiter)
{
	char *name = *slot ? place_renamed(*slot, from, to, delimiter) : NULL;

	if (!name)
		return;
	g_free(*slot);
	*slot = name;
}

void mover_folder_renamed(struct mover *mover, const char *from, const char *to, char delimiter)
{
	g_autoptr(GPtrArray) lanes = all_lanes(mover);

	place_map_rename(mover->map, from, to, delimiter);
	for (guint i = 0; i < lanes->len; i++) {
		struct lane *lane = g_ptr_array_index(lanes, i);

		g_hash_table_steal(mover->lanes, lane->key);
		replace(&lane->folder, from, to, delimiter);
		replace(&lane->target, from, to, delimiter);
		lane_rekey(lane);
	}
	for (guint i = 0; i < mover->settlers->len; i++)
		replace(&((struct settler *)g_ptr_array_index(mover->settlers, i))->folder, from, to,
			delimiter);
}

/* ---- told -------------------------------------------------------------------------------------- */

static const char *state_name(const struct move *move)
{
	if (move->state == MOVE_SENT || move->state == MOVE_LANDED)
		return "sending";
	return move->state == MOVE_UNKNOWN || move->state == MOVE_RESOLVING ? "unknown" : "waiting";
}

static void tell(const struct move *move, engine_pending_fn fn, void *user)
{
	const struct lane *lane = move->lane;
	const struct tree *tree = move->mover->engine->tree;
	const struct folder *source = tree_by_name(tree, lane->folder);
	const struct folder *target = lane_target(lane);
	g_autofree char *text = NULL;

	if (lane->target)
		text = g_strdup_printf("%u to %s", move->uid, target ? target->path : lane->target);
	else
		text = g_strdup_printf("%u", move->uid);
	fn(user, &(struct engine_pending){
		.id = move->id,
		.kind = lane->target ? "move" : "remove",
		.state = state_name(move),
		.folder = source ? source->path : lane->folder,
		.text = text,
	});
}

static bool is_over(const struct move *move)
{
	return move->state == MOVE_LEFT;
}

void mover_each(struct mover *mover, engine_pending_fn fn, void *user)
{
	g_autoptr(GPtrArray) all = place_all(mover->map);

	for (guint i = 0; i < all->len; i++) {
		const struct place *place = g_ptr_array_index(all, i);
		g_autoptr(GArray) uids = place_uids(place);

		for (guint n = 0; n < uids->len; n++) {
			const struct move *move = place_item(place, g_array_index(uids, uint32_t, n));

			if (!is_over(move))
				tell(move, fn, user);
		}
	}
}

bool mover_drop(struct mover *mover, uint64_t id)
{
	g_autoptr(GPtrArray) all = place_all(mover->map);
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "it was given up");
	GHashTableIter iter;
	gpointer value;

	for (guint i = 0; i < all->len; i++) {
		g_hash_table_iter_init(&iter, ((struct place *)g_ptr_array_index(all, i))->items);
		while (g_hash_table_iter_next(&iter, NULL, &value)) {
			struct move *move = value;

			if (move->id != id)
				continue;
			if (!take_out(move))
				return false;
			move_refuse(move, error);
			return true;
		}
	}
	return false;
}
