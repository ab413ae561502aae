/* SPDX-License-Identifier: MIT */
/*
 * Moves on their way to the server: collected, sent in few requests, and what their end means. A
 * promised one waits 200 ms for more, or for 250; while a batch is under way the next one grows.
 * What somebody waits for goes at once. Loop thread.
 */
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "engine/mover_impl.h"

#define COLLECT_MS 200u
#define FLAGS_MS   20u /* look again whether the flags have been changed */
#define BATCH_MIN  250u
#define BATCH_MAX  1000u
#define BURST_US   (1 * G_USEC_PER_SEC)
#define TRIES_MAX  3u /* of a server that says nothing of use */

/* ---- when -------------------------------------------------------------------------------------- */

static gboolean on_timer(gpointer user)
{
	struct lane *lane = user;

	lane->timer = 0;
	if (lane->is_paused) {
		lane->is_paused = false;
		lane_resolve(lane);
	}
	lane_go(lane, true);
	return G_SOURCE_REMOVE;
}

static void wait_ms(struct lane *lane, unsigned ms)
{
	g_clear_handle_id(&lane->timer, g_source_remove);
	lane->timer = g_timeout_add(ms, on_timer, lane);
}

void lane_pause(struct lane *lane)
{
	lane->is_paused = true;
	g_clear_handle_id(&lane->timer, g_source_remove);
	if (pool_state(lane->mover->engine->pool) == ENGINE_ONLINE)
		wait_ms(lane, backoff_next_ms(&lane->backoff, g_random_int()));
}

static bool is_awaited(const struct move *move)
{
	return move->done != NULL || !move->is_promised || move->is_half_done;
}

void lane_queue(struct lane *lane, struct move *move)
{
	move->state = MOVE_QUEUED;
	g_queue_push_tail(&lane->queue, move);
}

void lane_want(struct lane *lane, struct move *move)
{
	lane_queue(lane, move);
	/* on_journalled() answers the promised ones right after this. */
	lane_go(lane, !move->is_promised || !move->can_cancel || move->is_half_done);
}

/* ---- a batch ----------------------------------------------------------------------------------- */

void move_batch_free(struct move_batch *batch)
{
	g_ptr_array_unref(batch->moves);
	g_free(batch->folder);
	g_free(batch->target);
	g_free(batch);
}

static struct move_batch *of_job(struct pool_job *job)
{
	return (struct move_batch *)((char *)job - G_STRUCT_OFFSET(struct move_batch, job));
}

static int by_uid(gconstpointer a, gconstpointer b)
{
	const struct move *const *left = a;
	const struct move *const *right = b;

	return (*left)->uid < (*right)->uid ? -1 : (*left)->uid > (*right)->uid;
}

static struct move *find_move(const struct move_batch *batch, uint32_t uid)
{
	guint low = 0, high = batch->moves->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		struct move *move = g_ptr_array_index(batch->moves, middle);

		if (move->uid == uid)
			return move;
		if (move->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void note_copy(struct move *move, uint32_t target_uidvalidity, uint32_t target_uid)
{
	if (target_uidvalidity == 0 || target_uid == 0)
		return;
	move->target_uidvalidity = target_uidvalidity;
	move->target_uid = target_uid;
}

/* Before anything is removed from the source: after a crash the copy is known. */
static void on_copied(void *user, uint32_t uid, uint32_t target_uidvalidity, uint32_t target_uid)
{
	struct move *move = find_move(user, uid);

	if (!move)
		return;
	note_copy(move, target_uidvalidity, target_uid);
	fault_point("mover: copied");
	if (move->target_uid != 0)
		move_write(move, NULL, NULL);
}

static void on_moved(void *user, uint32_t uid, uint32_t target_uidvalidity, uint32_t target_uid)
{
	struct move *move = find_move(user, uid);

	if (!move)
		return;
	note_copy(move, target_uidvalidity, target_uid);
	move->has_left = true;
}

static void on_removed(void *user, uint32_t uid)
{
	struct move *move = find_move(user, uid);

	if (move)
		move->has_left = true;
}

static void batch_finish(struct move_batch *batch, bool is_known, const GError *error);

static void on_move_done(void *user, bool is_outcome_known, const GError *error)
{
	struct move_batch *batch = user;

	pool_done(batch->lane->mover->engine->pool, &batch->job, error);
	fault_point("mover: after MOVE");
	batch_finish(batch, is_outcome_known, error);
}

static void on_remove_done(void *user, const GError *error)
{
	struct move_batch *batch = user;

	pool_done(batch->lane->mover->engine->pool, &batch->job, error);
	fault_point("mover: after removal");
	batch_finish(batch, true, error);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct move_batch *batch = of_job(job);
	const struct mailfs_backend *backend = batch->lane->mover->engine->config.backend;
	g_autofree uint32_t *uids = g_new(uint32_t, batch->moves->len);
	g_autofree const char **keys = NULL;

	for (guint i = 0; i < batch->moves->len; i++)
		uids[i] = ((struct move *)g_ptr_array_index(batch->moves, i))->uid;
	keys = syncer_keys(batch->lane->mover->engine, batch->folder, uids, batch->moves->len);
	fault_point("mover: before the command");
	if (batch->is_removal)
		return backend->remove(session, &(struct mailfs_remove_request){
			.folder = batch->folder,
			.uidvalidity = batch->lane->uidvalidity,
			.uids = uids,
			.keys = keys,
			.uid_count = batch->moves->len,
			.removed = on_removed,
			.done = on_remove_done,
			.user = batch,
		});
	return backend->move(session, &(struct mailfs_move_request){
		.folder = batch->folder,
		.uidvalidity = batch->lane->uidvalidity,
		.uids = uids,
		.uid_count = batch->moves->len,
		.target = batch->target,
		.copied = on_copied,
		.moved = on_moved,
		.done = on_move_done,
		.user = batch,
	});
}

/* Nothing was sent. */
static void job_fail(struct pool_job *job, const GError *error)
{
	batch_finish(of_job(job), true, error);
}

/* What the user wants of its flags goes first: the message takes them along. */
static bool must_wait(const struct lane *lane, const struct move *move)
{
	return lane->target && changer_is_busy(lane->mover->engine->changer, lane->folder,
		lane->uidvalidity, move->uid);
}

/* Those whose copy is there already are only removed: a batch of their own. */
static void fill(struct move_batch *batch)
{
	struct lane *lane = batch->lane;
	GList *next;

	for (GList *at = lane->queue.head; at && batch->moves->len < BATCH_MAX; at = next) {
		struct move *move = at->data;

		next = at->next;
		if (batch->moves->len > 0 &&
			move->is_half_done != ((struct move *)g_ptr_array_index(batch->moves, 0))->is_half_done)
			continue;
		if (must_wait(lane, move))
			continue;
		g_queue_delete_link(&lane->queue, at);
		move->state = MOVE_SENT;
		move->has_left = false;
		g_ptr_array_add(batch->moves, move);
		batch->is_removal = move->is_half_done || !lane->target;
	}
	g_ptr_array_sort(batch->moves, by_uid);
}

static void lane_send(struct lane *lane)
{
	struct move_batch *batch = g_new0(struct move_batch, 1);

	batch->lane = lane;
	batch->folder = g_strdup(lane->folder);
	batch->target = g_strdup(lane->target);
	batch->moves = g_ptr_array_new();
	batch->job = (struct pool_job){
		.priority = POOL_INTERACTIVE,
		.weight = 3,
		.folder = batch->folder,
		.start = job_start,
		.fail = job_fail,
	};
	fill(batch);
	if (batch->moves->len == 0) {
		move_batch_free(batch);
		wait_ms(lane, FLAGS_MS);
		return;
	}
	lane->batch = batch;
	pool_submit(lane->mover->engine->pool, &batch->job);
}

static bool has_awaited(const struct lane *lane)
{
	for (GList *at = lane->queue.head; at; at = at->next) {
		if (is_awaited(at->data))
			return true;
	}
	return false;
}

static bool is_same_source(const struct lane *lane, const struct lane *other)
{
	return lane->uidvalidity == other->uidvalidity && strcmp(lane->folder, other->folder) == 0;
}

/* One request at a time takes messages out of a folder: where there is no UIDPLUS, what another one
 * has marked as deleted would be in the way, and both would fail (EX-1). */
static bool is_source_busy(const struct lane *lane)
{
	GHashTableIter iter;
	gpointer other;

	g_hash_table_iter_init(&iter, lane->mover->lanes);
	while (g_hash_table_iter_next(&iter, NULL, &other)) {
		if (((struct lane *)other)->batch && is_same_source(lane, other))
			return true;
	}
	return false;
}

/* Keys hang on the messages. Without them the server would be asked for none, and all of them would
 * count as gone. */
static bool is_blind(const struct lane *lane)
{
	return (lane->mover->engine->config.backend->traits & MAILFS_TRAIT_KEYS) != 0 &&
		!lane_source(lane);
}

static void on_source(void *user, const GError *error)
{
	struct lane *lane = user;

	lane->is_loading = false;
	if (is_blind(lane))
		lane_pause(lane);
	else
		lane_go(lane, true);
}

static void load_source(struct lane *lane)
{
	struct engine *engine = lane->mover->engine;
	struct folder *source = tree_by_name(engine->tree, lane->folder);

	if (!source) {
		lane_pause(lane);
		return;
	}
	lane->is_loading = true;
	syncer_sync(engine, source, on_source, lane);
}

void lane_go(struct lane *lane, bool is_urgent)
{
	guint waiting = g_queue_get_length(&lane->queue);

	if (waiting == 0 || lane->is_paused || lane->is_loading || is_source_busy(lane))
		return;
	if (is_blind(lane)) {
		load_source(lane);
		return;
	}
	lane->threshold = CLAMP(lane->threshold, BATCH_MIN, BATCH_MAX);
	if (waiting < lane->threshold && !is_urgent) {
		wait_ms(lane, COLLECT_MS);
		return;
	}
	g_clear_handle_id(&lane->timer, g_source_remove);
	lane->threshold = waiting >= lane->threshold ? lane->threshold * 2 : BATCH_MIN;
	lane_send(lane);
}

/* ---- the end of a batch ------------------------------------------------------------------------ */

/* Nothing has happened to it. Somebody who waits is worth a second try, not a third. */
static void not_moved(struct lane *lane, struct move *move, const GError *error,
	enum change_verdict verdict)
{
	bool is_lost = g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST);

	move->tries++;
	if (verdict == CHANGE_LEAVE) {
		move->state = MOVE_UNKNOWN; /* as the journal has it */
		g_ptr_array_add(lane->unknown, move);
	} else if (verdict == CHANGE_AGAIN &&
		(move->is_promised || move->is_half_done || (is_lost && move->done && move->tries < 2))) {
		move->state = MOVE_QUEUED;
		g_queue_push_tail(&lane->queue, move);
		lane_pause(lane);
	} else if (verdict == CHANGE_DOUBT && move->is_promised && move->tries < TRIES_MAX) {
		move->state = MOVE_QUEUED;
		g_queue_push_tail(&lane->queue, move);
	} else {
		move_refuse(move, error);
	}
}

static void take_one(struct move_batch *batch, struct move *move, bool is_known,
	const GError *error, enum change_verdict verdict)
{
	struct lane *lane = batch->lane;

	if (move->has_left)
		lane_land(lane, move);
	else if (!batch->is_removal && (!is_known || !error))
		lane_doubt(lane, move); /* without error: it was gone, or the server kept quiet */
	else if (error)
		not_moved(lane, move, error, verdict);
	else
		lane_land(lane, move); /* of a removal that was good: it was gone before */
}

static enum change_verdict judge(const struct move_batch *batch, const GError *error)
{
	enum change_verdict verdict;

	if (!error)
		return CHANGE_REFUSED;
	verdict = change_judge(batch->lane->mover->engine, error);
	/* It was renamed while the command was on its way. */
	if (verdict == CHANGE_MOOT && g_strcmp0(batch->folder, batch->lane->folder) != 0)
		return CHANGE_AGAIN;
	return verdict;
}

/* Those that waited for the folder; this one comes last, so that each has its turn. */
static void others_go(struct lane *lane)
{
	g_autoptr(GList) lanes = g_hash_table_get_values(lane->mover->lanes);

	for (GList *at = lanes; at; at = at->next) {
		struct lane *other = at->data;

		if (other != lane && is_same_source(lane, other))
			lane_go(other, has_awaited(other));
	}
}

static void batch_finish(struct move_batch *batch, bool is_known, const GError *error)
{
	struct lane *lane = batch->lane;
	struct mover *mover = lane->mover;
	enum change_verdict verdict = judge(batch, error);

	lane->batch = NULL;
	if (!error) {
		backoff_reset(&lane->backoff);
		lane->burst_until_us = clock_monotonic_us() + BURST_US;
	}
	for (guint i = 0; i < batch->moves->len; i++)
		take_one(batch, g_ptr_array_index(batch->moves, i), is_known, error, verdict);
	lane_show_landed(lane);
	lane_resolve(lane);
	others_go(lane);
	lane_go(lane, has_awaited(lane));
	move_batch_free(batch);
	mover_check_settlers(mover);
}
