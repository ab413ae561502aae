/* SPDX-License-Identifier: MIT */
/*
 * Wishes on their way to the server: collected, sent as few STOREs, compared with what the server
 * says afterwards (FL-1), and what becomes of those that fail. Loop thread.
 *
 * A batch goes 50 ms after the last change, or when 100 are collected, and never while one of the
 * folder is under way. As long as they come faster than that, the batches grow.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "engine/changer_impl.h"
#include "engine/sync_impl.h"

#define COLLECT_MS     50u
#define COLLECT_MAX_US (500 * 1000) /* changes that trickle in do not wait for ever */
#define BATCH_MIN      100u
#define BATCH_MAX      1000u
#define DOUBTS_MAX     2u

/* ---- when -------------------------------------------------------------------------------------- */

static gboolean on_timer(gpointer user)
{
	struct flag_place *place = user;

	place->timer = 0;
	place->is_paused = false;
	changer_go(place, true);
	return G_SOURCE_REMOVE;
}

static void wait_ms(struct flag_place *place, unsigned ms)
{
	g_clear_handle_id(&place->timer, g_source_remove);
	place->timer = g_timeout_add(ms, on_timer, place);
}

static bool has_ready_row(const struct wish *wish)
{
	for (GList *at = wish->rows.head; at; at = at->next) {
		if (((struct wish_row *)at->data)->state == ROW_READY)
			return true;
	}
	return false;
}

void changer_want(struct wish *wish)
{
	struct flag_place *place = wish->place;

	if (wish->is_ready || wish->batch)
		return;
	wish->is_ready = true;
	g_queue_push_tail(&place->ready, wish);
	if (place->first_us == 0)
		place->first_us = clock_monotonic_us();
	changer_go(place, false);
}

/* ---- a batch ----------------------------------------------------------------------------------- */

void changer_batch_free(struct flag_batch *batch)
{
	for (guint i = 0; i < batch->wishes->len; i++) {
		struct wish *wish = g_ptr_array_index(batch->wishes, i);

		wish->batch = NULL;
		if (!wish->place)
			changer_wish_free(wish);
	}
	g_ptr_array_unref(batch->wishes);
	delta_clear(&batch->delta);
	g_free(batch->folder);
	g_free(batch);
}

static struct flag_batch *of_job(struct pool_job *job)
{
	return (struct flag_batch *)((char *)job - G_STRUCT_OFFSET(struct flag_batch, job));
}

static int by_uid(gconstpointer a, gconstpointer b)
{
	const struct wish *const *left = a;
	const struct wish *const *right = b;

	return (*left)->uid < (*right)->uid ? -1 : (*left)->uid > (*right)->uid;
}

static struct wish *find_wish(const struct flag_batch *batch, uint32_t uid)
{
	guint low = 0, high = batch->wishes->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		struct wish *wish = g_ptr_array_index(batch->wishes, middle);

		if (wish->uid == uid)
			return wish;
		if (wish->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void on_flags(void *user, uint32_t uid, unsigned flags, const char *const *keywords)
{
	struct wish *wish = find_wish(user, uid);

	if (!wish)
		return;
	wish->has_answer = true;
	wish->answer = flags & MAILFS_FLAGS_ALL;
	g_free(wish->answer_words);
	wish->answer_words = words_new(keywords);
}

static void batch_finish(struct flag_batch *batch, const GError *error);

static void on_done(void *user, const GError *error)
{
	struct flag_batch *batch = user;

	pool_done(batch->place->changer->engine->pool, &batch->job, error);
	fault_point("changer: after STORE");
	batch_finish(batch, error);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct flag_batch *batch = of_job(job);
	g_auto(GStrv) add = g_strsplit(batch->delta.add_words, " ", -1);
	g_auto(GStrv) remove = g_strsplit(batch->delta.remove_words, " ", -1);
	g_autofree uint32_t *uids = g_new(uint32_t, batch->wishes->len);

	for (guint i = 0; i < batch->wishes->len; i++)
		uids[i] = ((struct wish *)g_ptr_array_index(batch->wishes, i))->uid;
	fault_point("changer: before STORE");
	return batch->place->changer->engine->config.backend->store(session,
		&(struct mailfs_store_request){
			.folder = batch->folder,
			.uidvalidity = batch->uidvalidity,
			.uids = uids,
			.uid_count = batch->wishes->len,
			.add = batch->delta.add,
			.remove = batch->delta.remove,
			.add_keywords = (const char *const *)add,
			.remove_keywords = (const char *const *)remove,
			.flags = on_flags,
			.done = on_done,
			.user = batch,
		});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	batch_finish(of_job(job), error);
}

static struct flag_batch *batch_new(struct flag_place *place, const struct delta *delta)
{
	struct flag_batch *batch = g_new0(struct flag_batch, 1);

	batch->place = place;
	batch->folder = g_strdup(place->place.folder);
	batch->uidvalidity = place->place.uidvalidity;
	batch->delta = delta_copy(delta);
	batch->wishes = g_ptr_array_new();
	batch->job = (struct pool_job){
		.priority = place->changer->engine->config.is_flags_sync ? POOL_INTERACTIVE : POOL_SYNC,
		.weight = 2,
		.folder = batch->folder,
		.start = job_start,
		.fail = job_fail,
	};
	g_hash_table_add(place->changer->batches, batch);
	return batch;
}

static void batch_take(struct flag_batch *batch, struct wish *wish)
{
	for (GList *at = wish->rows.head; at; at = at->next) {
		struct wish_row *row = at->data;

		if (row->state == ROW_READY)
			row->state = ROW_SENT;
	}
	wish->batch = batch;
	wish->has_answer = false;
	g_ptr_array_add(batch->wishes, wish);
}

/* Those that want the same go together. */
static void send_ready(struct flag_place *place)
{
	g_autoptr(GHashTable) groups = g_hash_table_new(delta_hash, delta_equal);
	GHashTableIter iter;
	gpointer value;

	for (unsigned n = 0; n < BATCH_MAX && !g_queue_is_empty(&place->ready); n++) {
		struct wish *wish = g_queue_pop_head(&place->ready);
		struct delta delta = changer_compose(wish, ROW_READY);
		struct flag_batch *batch = g_hash_table_lookup(groups, &delta);

		wish->is_ready = false;
		if (!batch) {
			batch = batch_new(place, &delta);
			g_hash_table_insert(groups, &batch->delta, batch);
		}
		batch_take(batch, wish);
		delta_clear(&delta);
	}
	g_hash_table_iter_init(&iter, groups);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct flag_batch *batch = value;

		g_ptr_array_sort(batch->wishes, by_uid);
		place->in_flight++;
		pool_submit(place->changer->engine->pool, &batch->job);
	}
}

void changer_go(struct flag_place *place, bool is_urgent)
{
	guint ready = g_queue_get_length(&place->ready);
	int64_t now = clock_monotonic_us();
	bool is_full;

	if (ready == 0 || place->in_flight > 0 || place->is_paused)
		return;
	place->threshold = CLAMP(place->threshold, BATCH_MIN, BATCH_MAX);
	is_full = ready >= place->threshold || now - place->first_us >= COLLECT_MAX_US;
	if (!is_full && !is_urgent && !place->changer->engine->config.is_flags_sync) {
		wait_ms(place, COLLECT_MS);
		return;
	}
	g_clear_handle_id(&place->timer, g_source_remove);
	place->threshold = ready >= place->threshold ? place->threshold * 2 : BATCH_MIN;
	send_ready(place);
	place->first_us = g_queue_is_empty(&place->ready) ? 0 : now;
}

/* ---- what came of it --------------------------------------------------------------------------- */

/* The index learns what the server says, as a sync would tell it. */
static void put_rows(struct flag_place *place, const GPtrArray *wishes)
{
	struct folder *folder = changer_folder(place);
	struct store_batch *batch;

	if (!folder || folder->box->uidvalidity == 0)
		return;
	batch = store_batch_new(place->changer->engine->config.store, folder->box->id);
	for (guint i = 0; i < wishes->len; i++) {
		const struct wish *wish = g_ptr_array_index(wishes, i);
		const struct message *message = mailbox_find(folder->box, wish->uid);
		struct message row;

		if (!message || !wish->has_base)
			continue;
		row = *message;
		row.flags = (uint8_t)wish->base;
		store_batch_put(batch,
			&(struct store_message){ .message = &row, .keywords = wish->base_words });
	}
	store_batch_commit(batch, NULL, NULL);
	engine_check_pressure(place->changer->engine);
}

/* What a sync under way has heard may be older than the STORE. */
static void look_again(struct flag_place *place)
{
	struct folder *folder = changer_folder(place);
	const struct sync *sync = folder ? folder->engine : NULL;

	if (sync && sync->is_running)
		syncer_sync(place->changer->engine, folder, NULL, NULL);
}

/* One line for many. */
static void note_refused(const struct flag_batch *batch, const GPtrArray *wishes, const GError *error)
{
	struct engine *engine = batch->place->changer->engine;
	const struct folder *folder = tree_by_name(engine->tree, batch->folder);
	g_autofree char *what = delta_text(&batch->delta);

	engine_add_reason(engine, "%s: %s of %u message%s (UID %u%s) was undone: %s",
		folder ? folder->path : batch->folder, what, wishes->len, wishes->len == 1 ? "" : "s",
		((const struct wish *)g_ptr_array_index(wishes, 0))->uid,
		wishes->len == 1 ? "" : " …", error->message);
}

/* The rows that were sent are over, in whatever way. The wishes may be gone afterwards. */
static void settle(struct flag_batch *batch, const GPtrArray *wishes, const GError *error)
{
	struct changer *changer = batch->place->changer;
	GPtrArray *rows = g_ptr_array_new();

	for (guint i = 0; i < wishes->len; i++) {
		struct wish *wish = g_ptr_array_index(wishes, i);

		if (!wish->place)
			continue;
		changer_take_rows(wish, true, rows);
		if (wish->has_answer)
			changer_set_base(wish, wish->answer, wish->answer_words);
		changer_show(wish);
	}
	put_rows(batch->place, wishes);
	for (guint i = 0; i < wishes->len; i++) {
		struct wish *wish = g_ptr_array_index(wishes, i);

		if (wish->place && g_queue_is_empty(&wish->rows))
			changer_end_wish(wish);
	}
	changer_answer_rows(changer, rows, error);
}

/* The server was heard out: those that have it now, those that do not, those that are gone. */
static void compare(struct flag_batch *batch, const GError *refusal)
{
	g_autoptr(GPtrArray) good = g_ptr_array_new();
	g_autoptr(GPtrArray) bad = g_ptr_array_new();
	g_autoptr(GPtrArray) gone = g_ptr_array_new();
	g_autoptr(GError) unkept = NULL;
	g_autoptr(GError) away = NULL;

	g_set_error(&unkept, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL, "the server did not keep it");
	g_set_error(&away, MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more");
	for (guint i = 0; i < batch->wishes->len; i++) {
		struct wish *wish = g_ptr_array_index(batch->wishes, i);

		if (wish->has_answer && delta_holds(&batch->delta, wish->answer, wish->answer_words))
			g_ptr_array_add(good, wish);
		else
			g_ptr_array_add(wish->has_answer || refusal ? bad : gone, wish);
	}
	if (bad->len > 0)
		note_refused(batch, bad, refusal ? refusal : unkept);
	if (gone->len > 0)
		log_debug("engine", "%s: %u messages went before their flags could change",
			batch->folder, gone->len);
	settle(batch, good, NULL);
	settle(batch, bad, refusal ? refusal : unkept);
	settle(batch, gone, away);
	look_again(batch->place);
}

/* To be sent once more. */
static void put_back(struct flag_batch *batch)
{
	for (guint i = 0; i < batch->wishes->len; i++) {
		const struct wish *wish = g_ptr_array_index(batch->wishes, i);

		for (GList *at = wish->rows.head; at; at = at->next) {
			struct wish_row *row = at->data;

			if (row->state == ROW_SENT)
				row->state = ROW_READY;
		}
	}
}

/* It helps to wait a little, or for the network. */
static void pause_place(struct flag_place *place)
{
	place->is_paused = true;
	g_clear_handle_id(&place->timer, g_source_remove);
	if (pool_state(place->changer->engine->pool) == ENGINE_ONLINE)
		wait_ms(place, backoff_next_ms(&place->backoff, g_random_int()));
}

/* What the user has changed meanwhile, or what is to be sent again, has its turn. */
static void detach_wishes(struct flag_batch *batch)
{
	g_autoptr(GPtrArray) wishes = g_steal_pointer(&batch->wishes);

	for (guint i = 0; i < wishes->len; i++) {
		struct wish *wish = g_ptr_array_index(wishes, i);

		wish->batch = NULL;
		if (!wish->place)
			changer_wish_free(wish);
		else if (has_ready_row(wish))
			changer_want(wish);
	}
	batch->wishes = g_ptr_array_new();
}

static enum change_verdict judge(const struct flag_batch *batch, const GError *error)
{
	struct flag_place *place = batch->place;
	struct engine *engine = place->changer->engine;
	enum change_verdict verdict = change_judge(engine, error);

	/* Who waits for the server's word is not kept waiting for the network. */
	if (verdict == CHANGE_AGAIN && engine->config.is_flags_sync &&
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE))
		return CHANGE_REFUSED;
	if (verdict == CHANGE_DOUBT)
		return ++place->doubts <= DOUBTS_MAX ? CHANGE_AGAIN : CHANGE_REFUSED;
	/* It was renamed while the command was on its way. */
	if (verdict == CHANGE_MOOT && g_strcmp0(batch->folder, place->place.folder) != 0)
		return CHANGE_AGAIN;
	return verdict;
}

static void batch_finish(struct flag_batch *batch, const GError *error)
{
	struct flag_place *place = batch->place;
	enum change_verdict verdict = error ? judge(batch, error) : CHANGE_REFUSED;

	place->in_flight--;
	switch (verdict) {
	case CHANGE_AGAIN:
	case CHANGE_LEAVE:
		put_back(batch);
		pause_place(place);
		break;
	case CHANGE_MOOT:
		changer_give_up(place, error);
		break;
	default:
		place->doubts = 0;
		backoff_reset(&place->backoff);
		compare(batch, error);
	}
	detach_wishes(batch);
	g_hash_table_remove(place->changer->batches, batch);
	changer_batch_free(batch);
	changer_go(place, false);
}
