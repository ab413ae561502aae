/* SPDX-License-Identifier: MIT */
/*
 * Moves whose outcome is unknown, because the connection was lost or the process died: both folders
 * are looked at, then it is decided by what is there. Gone from the source: moved. There, and a copy
 * that is surely the same in the target: the source is removed. Else it has not moved: what was
 * promised, or is still waited for, begins again; nothing else does. In doubt both stay. Loop thread.
 */
#include <string.h>

#include "base/log.h"
#include "engine/mover_impl.h"

#define CANDIDATES_MAX 16u

struct resolver {
	struct lane *lane; /* NULL: the engine is gone, the disk has not answered */
	GPtrArray *moves;
	guint at;
	GHashTable *claimed; /* UIDs of the target that are somebody's copy */
	bool is_reading;

	/* of one move */
	GArray *candidates;
	guint candidate;
	char *head; /* of the source */
};

void lane_doubt(struct lane *lane, struct move *move)
{
	move->state = MOVE_UNKNOWN;
	g_ptr_array_add(lane->unknown, move);
}

static void resolver_free(struct resolver *resolver)
{
	g_ptr_array_unref(resolver->moves);
	g_hash_table_unref(resolver->claimed);
	g_clear_pointer(&resolver->candidates, g_array_unref);
	g_free(resolver->head);
	g_free(resolver);
}

void lane_disown_resolver(struct lane *lane)
{
	struct resolver *resolver = lane->resolver;

	if (!resolver)
		return;
	resolver->lane = NULL;
	if (!resolver->is_reading)
		resolver_free(resolver);
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
	lane_want(resolver->lane, move);
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

/* True: it is decided without the disk. */
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

static void next(struct resolver *resolver);

/* All that is known of a header; NULL = nothing is. */
static char *head_text(const struct store_details *details)
{
	const struct mailfs_head *head = details ? &details->head : NULL;
	const char *parts[] = {
		head ? head->message_id : NULL,
		head ? head->date : NULL,
		head ? head->from : NULL,
		head ? head->to : NULL,
		head ? head->subject : NULL,
	};
	GString *text;

	if (!details || !details->has_head)
		return NULL;
	text = g_string_new(NULL);
	for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
		g_string_append_printf(text, "%s\n", parts[i] ? parts[i] : "");
	return g_string_free(text, FALSE);
}

static void read_next(struct resolver *resolver);

static bool is_disowned(struct resolver *resolver)
{
	resolver->is_reading = false;
	if (resolver->lane)
		return false;
	resolver_free(resolver);
	return true;
}

static void on_candidate(void *user, const struct store_details *details)
{
	struct resolver *resolver = user;
	g_autofree char *head = head_text(details);
	struct move *move;

	if (is_disowned(resolver))
		return;
	if (!head || strcmp(head, resolver->head) != 0) {
		resolver->candidate++;
		read_next(resolver);
		return;
	}
	move = g_ptr_array_index(resolver->moves, resolver->at++);
	finish_half(resolver, move,
		g_array_index(resolver->candidates, uint32_t, resolver->candidate));
	next(resolver);
}

static void on_source(void *user, const struct store_details *details)
{
	struct resolver *resolver = user;

	if (is_disowned(resolver))
		return;
	resolver->head = head_text(details);
	/* Nothing to know it by: rather twice than not at all. */
	if (!resolver->head)
		resolver->candidate = resolver->candidates->len;
	read_next(resolver);
}

static void read_next(struct resolver *resolver)
{
	struct lane *lane = resolver->lane;
	const struct folder *target = lane_target(lane);

	while (resolver->candidate < resolver->candidates->len && resolver->candidate < CANDIDATES_MAX &&
		target && target->box) {
		uint32_t uid = g_array_index(resolver->candidates, uint32_t, resolver->candidate);

		if (g_hash_table_contains(resolver->claimed, GUINT_TO_POINTER(uid))) {
			resolver->candidate++;
			continue;
		}
		resolver->is_reading = true;
		store_load_details(lane->mover->engine->config.store, target->box->id, uid, on_candidate,
			resolver);
		return;
	}
	begin_again(lane, g_ptr_array_index(resolver->moves, resolver->at++));
	next(resolver);
}

static void next(struct resolver *resolver)
{
	struct lane *lane = resolver->lane;

	g_clear_pointer(&resolver->candidates, g_array_unref);
	g_clear_pointer(&resolver->head, g_free);
	resolver->candidate = 0;
	for (; resolver->at < resolver->moves->len; resolver->at++) {
		struct move *move = g_ptr_array_index(resolver->moves, resolver->at);

		if (decide(resolver, move))
			continue;
		resolver->candidates = move_candidates(move);
		resolver->is_reading = true;
		store_load_details(lane->mover->engine->config.store, lane_source(lane)->box->id,
			move->uid, on_source, resolver);
		return;
	}
	end_all(resolver);
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

/* Who waits is told; the row stays, and the next time the server is there it is found out. */
static void look_failed(struct resolver *resolver, const GError *error)
{
	struct lane *lane = resolver->lane;

	lane->resolver = NULL;
	for (guint i = 0; i < resolver->moves->len; i++) {
		struct move *move = g_ptr_array_index(resolver->moves, i);

		lane_doubt(lane, move);
		if (!move->is_promised)
			move_answer(move, error);
	}
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
	next(resolver);
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
	lane->unknown = g_ptr_array_new();
	for (guint i = 0; i < resolver->moves->len; i++)
		((struct move *)g_ptr_array_index(resolver->moves, i))->state = MOVE_RESOLVING;
	lane->resolver = resolver;
	if (source && (target || !lane->target))
		syncer_sync(engine, source, on_source_synced, lane);
	else
		listing_refresh(engine->listing, on_listed, lane);
}
