/* SPDX-License-Identifier: MIT */
/*
 * Body objects: one per message while somebody holds it, and a few more with their fds. Loop
 * thread. The index is asked once, when the object is made.
 */
#include "store/body_impl.h"

#include <unistd.h>

#include "base/log.h"
#include "store/body_disk.h"
#include "store/evict.h"
#include "store/pack.h"
#include "store/pack_disk.h"

/* What was fetched ahead and not read yet stays: it would be looked up and checked for nothing. */
#define IDLE_MAX       8192u
#define IDLE_FILES_MAX 128u /* of them, with a file of their own that is open */

/* ---- fds ----------------------------------------------------------------------------------- */

struct body_fd *body_fd_new(int fd)
{
	struct body_fd *held = g_atomic_rc_box_new0(struct body_fd);

	held->fd = fd;
	return held;
}

struct body_fd *body_fd_ref(struct body_fd *held)
{
	return held ? g_atomic_rc_box_acquire(held) : NULL;
}

static void fd_clear(gpointer data)
{
	struct body_fd *held = data;

	close(held->fd);
}

void body_fd_release(struct body_fd *held)
{
	if (held)
		g_atomic_rc_box_release_full(held, fd_clear);
}

struct body_fd *body_fd_hold(struct body *body)
{
	return body_fd_ref(body->file);
}

/* ---- objects ------------------------------------------------------------------------------- */

void body_piece_clear(gpointer data)
{
	struct body_piece *piece = data;

	g_clear_pointer(&piece->bytes, g_bytes_unref);
}

static struct body *body_new(struct store *store, uint64_t key)
{
	struct body *body = g_new0(struct body, 1);

	body->link = store_link_ref(store->link);
	body->key = body->source = key;
	body->extents = extents_new();
	body->waiters = g_array_new(FALSE, FALSE, sizeof(struct body_waiter));
	body->reads = g_array_new(FALSE, FALSE, sizeof(struct body_wait_read));
	body->pieces = g_array_new(FALSE, FALSE, sizeof(struct body_piece));
	g_array_set_clear_func(body->pieces, body_piece_clear);
	body->dones = g_array_new(FALSE, FALSE, sizeof(struct body_done));
	return body;
}

static void body_free(struct body *body)
{
	g_array_unref(body->extents);
	g_array_unref(body->waiters);
	g_array_unref(body->reads);
	g_array_unref(body->pieces);
	g_array_unref(body->dones);
	body_fd_release(body->file);
	store_link_unref(body->link);
	g_free(body);
}

void bodies_init(struct store *store)
{
	store->bodies = g_hash_table_new(g_int64_hash, g_int64_equal);
	g_queue_init(&store->idle);
	g_queue_init(&store->idle_files);
	store->touches = g_array_new(FALSE, FALSE, sizeof(struct touch));
}

struct body *bodies_find(struct store *store, uint64_t key)
{
	return g_hash_table_lookup(store->bodies, &key);
}

static void body_leave_idle(struct body *body)
{
	if (body->idle_link)
		g_queue_delete_link(body->idle_in, body->idle_link);
	body->idle_link = NULL;
}

/* No longer found by its key. */
static void body_detach(struct body *body)
{
	struct store *store = body_store(body);

	if (g_hash_table_lookup(store->bodies, &body->key) == body)
		g_hash_table_remove(store->bodies, &body->key);
	body_leave_idle(body);
}

static void free_idle(struct body *body)
{
	body_detach(body);
	body_free(body);
}

bool body_release_idle(struct store *store, uint64_t key)
{
	struct body *body = bodies_find(store, key);

	if (body && body->refs > 0)
		return false;
	if (body)
		free_idle(body);
	return true;
}

struct body *body_ref(struct body *body)
{
	body_leave_idle(body);
	body->refs++;
	return body;
}

/* Nothing is here: next time a copy may be. Or it would keep memory that its owner gives back. */
static bool is_of_no_use(const struct body *body)
{
	if (body->extents->len == 0)
		return !body->is_complete && !body->is_saved;
	return body_is_shared(body) &&
		extents_bytes(body->extents, false) != extents_bytes(body->extents, true);
}

void body_unref(struct body *body)
{
	struct store *store;
	bool has_own_file;

	if (!body)
		return;
	g_assert(body->refs > 0);
	if (--body->refs > 0)
		return;
	store = body_store(body);
	if (!store || body->is_forgotten) {
		body_free(body);
		return;
	}
	if (is_of_no_use(body)) {
		free_idle(body);
		return;
	}
	has_own_file = body->file && body->place.pack == 0;
	body->idle_in = has_own_file ? &store->idle_files : &store->idle;
	g_queue_push_tail(body->idle_in, body);
	body->idle_link = body->idle_in->tail;
	if (body->idle_in->length > (has_own_file ? IDLE_FILES_MAX : IDLE_MAX))
		free_idle(body->idle_in->head->data);
}

static void release_shared(GQueue *idle)
{
	for (GList *at = idle->head, *next; at; at = next) {
		next = at->next;
		if (body_is_shared(at->data))
			free_idle(at->data);
	}
}

void bodies_release_shared(struct store *store)
{
	release_shared(&store->idle);
	release_shared(&store->idle_files);
}

/* ---- opening -------------------------------------------------------------------------------- */

struct body *body_open(struct store *store, uint32_t box_id, uint32_t uid)
{
	struct body *body = bodies_find(store, body_key(box_id, uid));

	if (body)
		return body_ref(body);
	body = body_new(store, body_key(box_id, uid));
	g_hash_table_insert(store->bodies, &body->key, body);
	body_ref(body);
	if (cached_is_absent(store, box_id, uid))
		body->is_ready = true;
	else
		body_ask_index(body);
	return body;
}

void body_when_ready(struct body *body, body_ready_fn fn, void *user)
{
	struct body_waiter waiter = { fn, user };

	if (body->is_ready)
		fn(user);
	else
		g_array_append_val(body->waiters, waiter);
}

void body_forget_waiter(struct body *body, void *user)
{
	for (guint i = body->waiters->len; i > 0; i--) {
		if (g_array_index(body->waiters, struct body_waiter, i - 1).user == user)
			g_array_remove_index(body->waiters, i - 1);
	}
}

/* ---- what is here -------------------------------------------------------------------------- */

bool body_is_ready(const struct body *body)
{
	return body->is_ready;
}

bool body_is_complete(const struct body *body)
{
	return body->is_complete;
}

uint64_t body_size(const struct body *body)
{
	return body->size;
}

uint64_t body_covered_until(const struct body *body, uint64_t offset)
{
	return body->is_ready ? extents_covered_until(body->extents, offset) : offset;
}

uint64_t body_gap_until(const struct body *body, uint64_t offset)
{
	guint index;

	if (!body->is_ready)
		return UINT64_MAX;
	index = extents_lower_bound(body->extents, offset);
	if (index >= body->extents->len)
		return UINT64_MAX;
	return MAX(g_array_index(body->extents, struct extent, index).offset, offset);
}

bool body_covers(const struct body *body, struct mailfs_range range)
{
	uint64_t end;

	if (!body->is_ready || __builtin_add_overflow(range.offset, range.len, &end))
		return false;
	return body_covered_until(body, range.offset) >= end;
}

uint64_t body_pending_bytes(const struct store *store)
{
	return store->pending_bytes;
}

/* ---- forgetting ---------------------------------------------------------------------------- */

/* Its file is opened while it still has a name; that is rare, so it may be done here. */
static bool open_file_of(struct body *body)
{
	struct store *store = body_store(body);
	int fd = -1;
	int r;

	if (!body->file)
		body->file = packs_file(store, body->place.pack);
	if (body->file)
		return true;
	r = body->place.pack != 0 ? pack_disk_open(store->dir, body->place.pack, &fd) :
				    body_disk_open(store->dir, key_box(body->source), key_uid(body->source), &fd);
	if (r == 0)
		body->file = body_fd_new(fd);
	return r == 0;
}

/* A reader that has the message open reads on, as from a file that was unlinked. What is not on
 * disk yet stays in memory. */
static bool body_keep(struct body *body)
{
	uint64_t on_disk = extents_bytes(body->extents, true);

	if (body->refs == 0 || !body->is_complete || (on_disk > 0 && !open_file_of(body)))
		return false;
	body_stop_writing(body);
	body->is_kept = true;
	return true;
}

static void body_forget(struct body *body)
{
	bool is_kept = body_keep(body);

	body->is_forgotten = true;
	body_ref(body);
	body_detach(body);
	if (!is_kept)
		body_clear(body);
	body_unref(body);
}

void bodies_forget(struct store *store, uint32_t box, uint32_t first, uint32_t last)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new();
	GHashTableIter iter;
	gpointer value;

	if (first == last) {
		struct body *body = bodies_find(store, body_key(box, first));

		if (body)
			body_forget(body);
		return;
	}
	g_hash_table_iter_init(&iter, store->bodies);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct body *body = value;

		if (body_box(body) == box && body_uid(body) >= first && body_uid(body) <= last)
			g_ptr_array_add(found, value);
	}
	for (guint i = 0; i < found->len; i++)
		body_forget(g_ptr_array_index(found, i));
}

int body_rows_forget(struct store_thread *thread, uint32_t box, uint32_t first, uint32_t last,
	struct body_loss *loss)
{
	g_autoptr(GArray) bodies = g_array_new(FALSE, FALSE, sizeof(struct index_body));
	struct index *index = store_thread_index(thread);
	int rc = index_list_bodies(index, box, first, last, bodies);

	if (!loss->files)
		loss->files = g_array_new(FALSE, FALSE, sizeof(struct body_lost));
	for (guint i = 0; rc == SQLITE_OK && i < bodies->len; i++) {
		const struct index_body *body = &g_array_index(bodies, struct index_body, i);
		struct body_lost lost = { body_key(box, body->uid), body->pack, body->bytes };

		g_array_append_val(loss->files, lost);
		rc = index_remove_body(index, box, body->uid);
		loss->bytes += body->bytes;
		loss->count++;
	}
	return rc;
}

void body_loss_unlink(struct store_thread *thread, const struct body_loss *loss)
{
	struct store_dir *dir = store_thread_dir(thread);
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (guint i = 0; loss->files && i < loss->files->len; i++) {
		const struct body_lost *lost = &g_array_index(loss->files, struct body_lost, i);
		uint32_t box = (uint32_t)(lost->key >> 32), uid = (uint32_t)lost->key;
		bool is_last = i + 1 == loss->files->len || lost[1].key >> 32 != box;

		if (lost->pack == 0)
			g_array_append_val(uids, uid);
		if (!is_last)
			continue;
		body_disk_remove(dir, box, (const uint32_t *)(void *)uids->data, uids->len);
		g_array_set_size(uids, 0);
		body_disk_remove_box(dir, box);
	}
}

void body_loss_done(struct body_loss *loss)
{
	g_clear_pointer(&loss->files, g_array_unref);
}

void bodies_finish(struct store *store)
{
	GHashTableIter iter;
	gpointer value;

	/* From here on no lookup and no removal of files is under way. */
	store_thread_sync(store->thread);
	g_hash_table_iter_init(&iter, store->bodies);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct body *body = value;

		if (!body->is_ready && body->pieces->len == 0)
			continue;
		body->is_ready = true;
		if (body->is_drop_sent)
			body->is_dropping = body->is_drop_sent = false;
		body_write_kick(body);
	}
}

void bodies_done(struct store *store)
{
	GHashTableIter iter;
	gpointer value;

	bodies_flush_touches(store);
	g_hash_table_iter_init(&iter, store->bodies);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct body *body = value;

		g_hash_table_iter_remove(&iter);
		if (body->refs == 0) {
			body->idle_link = NULL;
			body_free(body);
			continue;
		}
		/* Its last reference frees it, also while the store is still ending. */
		body->is_forgotten = true;
		extents_clear(body->extents);
		g_array_set_size(body->pieces, 0);
		body->is_complete = false;
	}
	g_queue_clear(&store->idle);
	g_queue_clear(&store->idle_files);
}
