/* SPDX-License-Identifier: MIT */
/*
 * Moves whose outcome is unknown, because the connection was lost or the process died: both folders
 * are looked at, then it is decided by what is there. Gone from the source: moved. There, and a copy
 * of the same bytes in the target: the source is removed. Else it has not moved: what was promised,
 * or is still waited for, begins again; nothing else does. In doubt both stay. Loop thread.
 */
#include <string.h>

#include "base/log.h"
#include "engine/digests.h"
#include "engine/mover_impl.h"

#define CANDIDATES_MAX 16u

struct resolver {
	struct lane *lane;
	GPtrArray *moves; /* to be decided on */
	GHashTable *claimed; /* UIDs of the target that are somebody's copy */
	GPtrArray *doubts;   /* struct doubt *: of the moves, those that are compared */
	struct digests *sources, *copies;
	uint32_t uidvalidity; /* of the target, that the copies are in */
};

void lane_doubt(struct lane *lane, struct move *move)
{
	move->state = MOVE_UNKNOWN;
	g_ptr_array_add(lane->unknown, move);
}

static void resolver_free(struct resolver *resolver)
{
	g_ptr_array_unref(resolver->moves);
	g_ptr_array_unref(resolver->doubts);
	g_hash_table_unref(resolver->claimed);
	digests_free(resolver->sources);
	digests_free(resolver->copies);
	g_free(resolver);
}

void lane_drop_resolver(struct lane *lane)
{
	if (lane->resolver)
		resolver_free(lane->resolver);
	lane->resolver = NULL;
}

/* ---- what is decided --------------------------------------------------------------------------- */

static void end_all(struct resolver *resolver)
{
	struct lane *lane = resolver->lane;

	lane->resolver = NULL;
	resolver_free(resolver);
	lane_show_landed(lane);
	lane_go(lane, true);
	lane_resolve(lane);
	mover_check_settlers(lane->mover);
}

static void begin_again(struct lane *lane, struct move *move)
{
	g_autoptr(GError) error = NULL;

	if (move->is_promised || (move->done && move->tries++ < 1)) {
		lane_want(lane, move);
		return;
	}
	if (!move->done) {
		log_info("engine", "%s: message %u was not moved", lane->folder, move->uid);
		move_end(move);
		return;
	}
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST,
		"the connection was lost; the message has not moved");
	move_refuse(move, error);
}

static void finish_half(struct resolver *resolver, struct move *move, uint32_t target_uid)
{
	const struct folder *target = lane_target(resolver->lane);

	g_hash_table_add(resolver->claimed, GUINT_TO_POINTER(target_uid));
	move->target_uid = target_uid;
	move->target_uidvalidity = target->box->uidvalidity;
	move->is_half_done = true;
	/* All of them together (end_all): without UIDPLUS each would find the others marked, by the one
	 * who was killed, and stay. EX-1. */
	lane_queue(resolver->lane, move);
}

/* The copy was told, or the target is another mailbox now. False: it must be looked for. */
static bool decide_by_uid(struct resolver *resolver, struct move *move)
{
	struct lane *lane = resolver->lane;
	const struct folder *target = lane_target(lane);
	const struct mailbox *box = target ? target->box : NULL;

	if (!box || !lane->mover->engine->config.backend->remove) {
		begin_again(lane, move);
	} else if (move->target_uidvalidity != 0 && move->target_uidvalidity != box->uidvalidity) {
		g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_STALE,
			"the target was made anew (UIDVALIDITY)");

		move_refuse(move, error);
	} else if (move->target_uid == 0) {
		return false;
	} else if (mailbox_find(box, move->target_uid)) {
		finish_half(resolver, move, move->target_uid);
	} else {
		move->target_uid = 0;
		begin_again(lane, move);
	}
	return true;
}

/* True: it is decided without a look at bytes. */
static bool decide(struct resolver *resolver, struct move *move)
{
	struct lane *lane = resolver->lane;
	const struct folder *source = lane_source(lane);
	const struct message *message = source ? mailbox_find(source->box, move->uid) : NULL;

	if (!source) {
		g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_STALE,
			"its folder is no more, or was made anew (UIDVALIDITY)");

		move_refuse(move, error);
		return true;
	}
	if (!message) {
		lane_land(lane, move);
		return true;
	}
	move->size = message->size;
	move->date = message->date;
	if (!lane->target) {
		begin_again(lane, move);
		return true;
	}
	return decide_by_uid(resolver, move);
}

/* ---- is it the same message? ------------------------------------------------------------------- */

/* Size and date are equal: the bytes decide. */
struct doubt {
	struct move *move;
	GArray *candidates; /* uint32_t */
};

static void doubt_free(gpointer data)
{
	struct doubt *doubt = data;

	g_array_unref(doubt->candidates);
	g_free(doubt);
}

static bool is_copy(const struct resolver *resolver, const struct doubt *doubt, uint32_t uid)
{
	const uint8_t *source = digests_of(resolver->sources, doubt->move->uid);
	const uint8_t *copy = digests_of(resolver->copies, uid);

	return source && copy && memcmp(source, copy, DIGEST_BYTES) == 0 &&
		!g_hash_table_contains(resolver->claimed, GUINT_TO_POINTER(uid));
}

static void settle_doubt(struct resolver *resolver, const struct doubt *doubt)
{
	for (guint i = 0; i < doubt->candidates->len; i++) {
		uint32_t uid = g_array_index(doubt->candidates, uint32_t, i);

		if (is_copy(resolver, doubt, uid)) {
			finish_half(resolver, doubt->move, uid);
			return;
		}
	}
	begin_again(resolver->lane, doubt->move);
}

static void look_failed(struct resolver *resolver, const GError *error);

static void on_copies(void *user, const GError *error)
{
	struct lane *lane = user;
	struct resolver *resolver = lane->resolver;
	const struct folder *target = lane_target(lane);

	/* Made anew meanwhile, nothing that was compared is in it any more. */
	if (error || !target || !target->box || target->box->uidvalidity != resolver->uidvalidity) {
		look_failed(resolver, error);
		return;
	}
	for (guint i = 0; i < resolver->doubts->len; i++)
		settle_doubt(resolver, g_ptr_array_index(resolver->doubts, i));
	g_ptr_array_set_size(resolver->doubts, 0);
	end_all(resolver);
}

static gint by_uid(gconstpointer a, gconstpointer b)
{
	const uint32_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* Each once, ascending. */
static GArray *uids_of(const struct resolver *resolver, bool is_target)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	GArray *uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (guint i = 0; i < resolver->doubts->len; i++) {
		const struct doubt *doubt = g_ptr_array_index(resolver->doubts, i);

		if (is_target)
			g_array_append_vals(all, doubt->candidates->data, doubt->candidates->len);
		else
			g_array_append_val(all, doubt->move->uid);
	}
	g_array_sort(all, by_uid);
	for (guint i = 0; i < all->len; i++) {
		uint32_t uid = g_array_index(all, uint32_t, i);

		if (i == 0 || g_array_index(all, uint32_t, i - 1) != uid)
			g_array_append_val(uids, uid);
	}
	return uids;
}

static void on_sources(void *user, const GError *error)
{
	struct lane *lane = user;
	struct resolver *resolver = lane->resolver;
	const struct folder *target = lane_target(lane);
	g_autoptr(GArray) uids = uids_of(resolver, true);

	if (error || !target || !target->box) {
		look_failed(resolver, error);
		return;
	}
	resolver->uidvalidity = target->box->uidvalidity;
	resolver->copies = digests_new(lane->mover->engine, lane->target, resolver->uidvalidity, uids,
		on_copies, lane);
}

static void settle_doubts(struct resolver *resolver)
{
	struct lane *lane = resolver->lane;
	g_autoptr(GArray) uids = uids_of(resolver, false);

	if (uids->len == 0)
		end_all(resolver);
	else
		resolver->sources = digests_new(lane->mover->engine, lane->folder,
			lane->uidvalidity, uids, on_sources, lane);
}

static void decide_all(struct resolver *resolver)
{
	for (guint i = 0; i < resolver->moves->len; i++) {
		struct move *move = g_ptr_array_index(resolver->moves, i);
		struct doubt *doubt;

		if (decide(resolver, move))
			continue;
		doubt = g_new(struct doubt, 1);
		*doubt = (struct doubt){ move, move_candidates(move) };
		if (doubt->candidates->len > CANDIDATES_MAX)
			g_array_set_size(doubt->candidates, CANDIDATES_MAX);
		if (doubt->candidates->len == 0) {
			begin_again(resolver->lane, move);
			doubt_free(doubt);
		} else {
			g_ptr_array_add(resolver->doubts, doubt);
		}
	}
	g_ptr_array_set_size(resolver->moves, 0);
	settle_doubts(resolver);
}

/* Copies that are known are nobody else's. */
static void claim_known(struct resolver *resolver)
{
	struct lane *lane = resolver->lane;

	for (guint i = 0; i < resolver->moves->len; i++) {
		const struct move *move = g_ptr_array_index(resolver->moves, i);

		if (move->target_uid != 0)
			g_hash_table_add(resolver->claimed, GUINT_TO_POINTER(move->target_uid));
	}
	for (GList *at = lane->queue.head; at; at = at->next) {
		const struct move *move = at->data;

		if (move->target_uid != 0)
			g_hash_table_add(resolver->claimed, GUINT_TO_POINTER(move->target_uid));
	}
}

/* ---- looking at both sides --------------------------------------------------------------------- */

static void leave_in_doubt(struct lane *lane, struct move *move, const GError *error)
{
	lane_doubt(lane, move);
	if (!move->is_promised)
		move_answer(move, error);
}

/* Who waits is told; the row stays, and the next time the server is there it is found out. */
static void look_failed(struct resolver *resolver, const GError *error)
{
	struct lane *lane = resolver->lane;
	g_autoptr(GError) gone =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_GONE, "the target is no more");

	if (!error)
		error = gone;
	lane->resolver = NULL;
	for (guint i = 0; i < resolver->moves->len; i++)
		leave_in_doubt(lane, g_ptr_array_index(resolver->moves, i), error);
	for (guint i = 0; i < resolver->doubts->len; i++)
		leave_in_doubt(
			lane, ((struct doubt *)g_ptr_array_index(resolver->doubts, i))->move, error);
	resolver_free(resolver);
	lane_pause(lane);
	mover_check_settlers(lane->mover);
}

static void on_target(void *user, const GError *error)
{
	struct resolver *resolver = ((struct lane *)user)->resolver;

	if (error && !g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_GONE)) {
		look_failed(resolver, error);
		return;
	}
	claim_known(resolver);
	decide_all(resolver);
}

static void on_source_synced(void *user, const GError *error)
{
	struct lane *lane = user;
	struct folder *target = lane_target(lane);

	if (error && !g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_GONE))
		look_failed(lane->resolver, error);
	else if (target)
		syncer_sync(lane->mover->engine, target, on_target, lane);
	else
		on_target(lane, NULL);
}

static void on_listed(void *user, const GError *error)
{
	struct lane *lane = user;
	struct folder *source = tree_by_name(lane->mover->engine->tree, lane->folder);

	if (error)
		look_failed(lane->resolver, error);
	else if (source)
		syncer_sync(lane->mover->engine, source, on_source_synced, lane);
	else
		on_source_synced(lane, NULL);
}

/* What was queued or sent before this is seen by it; what comes later has its own turn. */
void lane_resolve(struct lane *lane)
{
	struct engine *engine = lane->mover->engine;
	struct folder *source = tree_by_name(engine->tree, lane->folder);
	struct folder *target = lane_target(lane);
	struct resolver *resolver;

	if (lane->unknown->len == 0 || lane->resolver || lane->is_paused ||
		pool_state(engine->pool) == ENGINE_STOPPED)
		return;
	resolver = g_new0(struct resolver, 1);
	resolver->lane = lane;
	resolver->moves = lane->unknown;
	resolver->claimed = g_hash_table_new(NULL, NULL);
	resolver->doubts = g_ptr_array_new_with_free_func(doubt_free);
	lane->unknown = g_ptr_array_new();
	for (guint i = 0; i < resolver->moves->len; i++)
		((struct move *)g_ptr_array_index(resolver->moves, i))->state = MOVE_RESOLVING;
	lane->resolver = resolver;
	if (source && (target || !lane->target))
		syncer_sync(engine, source, on_source_synced, lane);
	else
		listing_refresh(engine->listing, on_listed, lane);
}
