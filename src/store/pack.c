/* SPDX-License-Identifier: MIT */
/* Which packs there are, how much of each is live, and their fds. Loop thread. */
#include "store/pack.h"

#include "store/body_impl.h"
#include "store/pack_disk.h"

#define OPEN_MAX 32u

/* A cache that cannot hold this many packs has none: their dead bytes would be most of it. */
#define PACKS_PER_CACHE 16u
#define PACK_SIZE_MIN   (1u << 20)

/* ---- counting ------------------------------------------------------------------------------ */

struct pack *packs_find(struct store *store, uint32_t id)
{
	return g_hash_table_lookup(store->packs.by_id, GUINT_TO_POINTER(id));
}

static struct pack *pack_new(struct store *store, uint32_t id)
{
	struct packs *packs = &store->packs;
	struct pack *pack = g_new0(struct pack, 1);

	pack->id = id;
	g_hash_table_insert(packs->by_id, GUINT_TO_POINTER(id), pack);
	packs->next_id = MAX(packs->next_id, id + 1);
	return pack;
}

static struct pack *pack_get(struct store *store, uint32_t id)
{
	struct pack *pack = packs_find(store, id);

	return pack ? pack : pack_new(store, id);
}

static void pack_grow(struct store *store, struct pack *pack, uint64_t size)
{
	if (size <= pack->size)
		return;
	store->packs.size += size - pack->size;
	pack->size = size;
}

uint64_t packs_dead_bytes(const struct store *store)
{
	return store->packs.size - MIN(store->packs.live, store->packs.size);
}

static uint64_t dead_max(const struct store *store)
{
	return store->usage.max_bytes / 8;
}

uint64_t packs_counted_dead_bytes(const struct store *store)
{
	return MIN(packs_dead_bytes(store), dead_max(store));
}

void packs_account(struct store *store, uint32_t id, uint64_t gained, uint64_t lost)
{
	struct pack *pack = id == 0 ? NULL : packs_find(store, id);

	if (!pack)
		return;
	lost = MIN(lost, pack->live + gained);
	pack->live += gained - lost;
	store->packs.live += gained - lost;
}

/* ---- loading ------------------------------------------------------------------------------- */

static void count_row(void *user, const struct index_body *body)
{
	struct store *store = user;
	struct store_usage *usage = &store->usage;
	struct pack *pack;
	uint64_t end;

	usage->bodies++;
	usage->body_bytes += body->bytes;
	store->use_clock = MAX(store->use_clock, body->used);
	/* Beyond what we ever write: a damaged row. */
	if (body->pack == 0 || body->bytes > PACK_BODY_MAX || body->pack_offset > 2 * PACK_SIZE_MAX)
		return;
	end = body->pack_offset + body->bytes;
	pack = pack_get(store, body->pack);
	packs_account(store, body->pack, body->bytes, 0);
	pack->tail = MAX(pack->tail, end);
}

static void count_files(struct store *store)
{
	g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(struct pack_file));
	GHashTableIter iter;
	gpointer value;

	pack_disk_list(store->dir, files);
	for (guint i = 0; i < files->len; i++) {
		const struct pack_file *file = &g_array_index(files, struct pack_file, i);

		pack_grow(store, pack_get(store, file->id), file->size);
	}
	g_hash_table_iter_init(&iter, store->packs.by_id);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct pack *pack = value;

		/* What lies behind the last row was written without being committed: room. Only
		 * the last one goes on, and not if it is cut or missing. */
		pack->is_closed = pack->size < pack->tail || pack->id + 1 != store->packs.next_id;
		pack_grow(store, pack, pack->tail);
		if (!pack->is_closed && pack->live > 0)
			store->packs.current = pack;
	}
}

int packs_load(struct store *store, struct index *index)
{
	struct packs *packs = &store->packs;
	int rc;

	if (!packs->by_id)
		packs->by_id = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	if (!packs->queue)
		packs->queue = g_ptr_array_new();
	packs->next_id = 1;
	packs->pack_size = MIN(store->usage.max_bytes / PACKS_PER_CACHE, PACK_SIZE_MAX);
	if (packs->pack_size < PACK_SIZE_MIN)
		packs->pack_size = 0;
	rc = index_scan_bodies(index, count_row, store);
	if (rc == SQLITE_OK)
		count_files(store);
	return rc;
}

void packs_clear(struct store *store)
{
	struct packs *packs = &store->packs;

	if (packs->by_id)
		g_hash_table_remove_all(packs->by_id);
	packs->current = NULL;
	packs->live = packs->size = 0;
}

void packs_done(struct store *store)
{
	struct packs *packs = &store->packs;
	struct pack *pack;

	while ((pack = g_queue_pop_head(&packs->open)))
		body_fd_release(pack->file);
	g_clear_handle_id(&packs->gather_timer, g_source_remove);
	g_clear_pointer(&packs->by_id, g_hash_table_destroy);
	g_clear_pointer(&packs->queue, g_ptr_array_unref);
}

/* ---- fds ----------------------------------------------------------------------------------- */

static void drop_file(struct store *store, struct pack *pack)
{
	if (!pack->file)
		return;
	g_queue_delete_link(&store->packs.open, g_steal_pointer(&pack->open_link));
	body_fd_release(g_steal_pointer(&pack->file));
}

struct body_fd *packs_file(struct store *store, uint32_t id)
{
	const struct pack *pack = packs_find(store, id);

	return pack ? body_fd_ref(pack->file) : NULL;
}

void packs_keep_file(struct store *store, uint32_t id, struct body_fd *file)
{
	struct pack *pack = packs_find(store, id);

	if (!pack || pack->file || pack->is_going)
		return;
	pack->file = body_fd_ref(file);
	g_queue_push_tail(&store->packs.open, pack);
	pack->open_link = store->packs.open.tail;
	if (store->packs.open.length > OPEN_MAX)
		drop_file(store, store->packs.open.head->data);
}

/* ---- appending ----------------------------------------------------------------------------- */

struct pack *packs_reserve(struct store *store, uint64_t bytes, uint64_t *ret_offset)
{
	struct packs *packs = &store->packs;
	struct pack *pack = packs->current;

	if (!pack || pack->is_closed || (pack->tail > 0 && pack->tail + bytes > packs->pack_size)) {
		if (pack)
			pack->is_closed = true;
		pack = packs->current = pack_new(store, packs->next_id);
	}
	*ret_offset = pack->tail;
	pack->tail += bytes;
	pack_grow(store, pack, pack->tail);
	pack->writes++;
	return pack;
}

void packs_write_done(struct store *store, struct pack *pack)
{
	g_assert(pack->writes > 0);
	pack->writes--;
}

void packs_write_failed(struct store *store, struct pack *pack, uint64_t offset, uint64_t bytes)
{
	packs_write_done(store, pack);
	if (pack->tail != offset + bytes)
		return; /* others lie behind it: it is dead */
	pack->tail = offset;
	if (pack->size == offset + bytes) {
		pack->size -= bytes;
		store->packs.size -= bytes;
	}
}

/* ---- removing ------------------------------------------------------------------------------ */

struct remove_job {
	struct store_job job;
	uint32_t id;
	bool is_claimed;
};

static int remove_run(struct store_thread *thread, struct store_job *base)
{
	struct remove_job *job = (struct remove_job *)base;

	job->is_claimed = true;
	return index_has_pack(store_thread_index(thread), job->id, &job->is_claimed);
}

static void remove_after(struct store_thread *thread, struct store_job *base)
{
	struct remove_job *job = (struct remove_job *)base;

	/* Rows that could not be removed or moved claim it still. */
	if (!job->is_claimed && !base->error)
		pack_disk_remove(store_thread_dir(thread), job->id);
}

static void remove_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct remove_job *job = (struct remove_job *)base;
	struct pack *pack = packs_find(store, job->id);

	if (job->is_claimed || error)
		return; /* stays is_going: not again before the next open */
	store->packs.size -= pack->size;
	store->packs.live -= MIN(pack->live, store->packs.live);
	g_hash_table_remove(store->packs.by_id, GUINT_TO_POINTER(job->id));
}

static void remove_pack(struct store *store, struct pack *pack)
{
	struct remove_job *job = g_new0(struct remove_job, 1);

	if (store->packs.current == pack)
		store->packs.current = NULL;
	pack->is_closed = pack->is_going = true;
	drop_file(store, pack);
	bodies_release_shared(store);
	/* It writes nothing, but as a writing job it is told whether the transaction failed. */
	job->job = (struct store_job){ .run = remove_run,
		.after = remove_after,
		.answer = remove_answer,
		.is_write = true,
		.rows = 1 };
	job->id = pack->id;
	store_thread_post(store->thread, &job->job);
}

/* ---- tending ------------------------------------------------------------------------------- */

static uint64_t pack_dead(const struct pack *pack)
{
	return pack->size - MIN(pack->live, pack->size);
}

static bool is_at_rest(const struct pack *pack)
{
	return pack->writes == 0 && !pack->is_going;
}

/* The one with most to gain; NULL: none is worth it. */
static struct pack *find_wasteful(struct store *store)
{
	bool is_much = packs_dead_bytes(store) > dead_max(store);
	struct pack *best = NULL;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, store->packs.by_id);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct pack *pack = value;
		uint64_t dead = pack_dead(pack);

		if (!is_at_rest(pack) || pack == store->packs.current || dead == 0 ||
			pack->patience > 0 || (pack->live >= dead && !is_much))
			continue;
		if (!best || dead > pack_dead(best))
			best = pack;
	}
	return best;
}

struct pack *packs_most_dead(struct store *store)
{
	struct pack *best = NULL;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, store->packs.by_id);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct pack *pack = value;

		if (is_at_rest(pack) && pack_dead(pack) > (best ? pack_dead(best) : 0))
			best = pack;
	}
	return best;
}

void packs_tend(struct store *store)
{
	g_autoptr(GPtrArray) gone = g_ptr_array_new();
	struct pack *wasteful;
	GHashTableIter iter;
	gpointer value;

	if (store->is_closing || store->is_broken)
		return;
	g_hash_table_iter_init(&iter, store->packs.by_id);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct pack *pack = value;

		pack->patience -= pack->patience > 0;
		if (pack->live == 0 && is_at_rest(pack))
			g_ptr_array_add(gone, value);
	}
	for (guint i = 0; i < gone->len; i++)
		remove_pack(store, g_ptr_array_index(gone, i));
	if (store->packs.compaction)
		return;
	wasteful = find_wasteful(store);
	if (wasteful)
		compact_begin(store, wasteful);
}
