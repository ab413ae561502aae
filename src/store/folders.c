/* SPDX-License-Identifier: MIT */
/*
 * The folder list and the two kinds of ids. Loop thread; the index gets copies. An id is a hash,
 * so that it is the same again when the cache was deleted; where two names meet, the later one is
 * moved on by one, and from then on the index remembers.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "store/store_impl.h"
#include "store/folders.h"

#define ID_MASK 0xffffffu

static struct store_folder *find_folder(struct store *store, const char *name)
{
	return g_hash_table_lookup(store->folder_names, name);
}

static void index_names(struct store *store)
{
	g_hash_table_remove_all(store->folder_names);
	for (guint i = 0; i < store->folders->len; i++) {
		struct store_folder *folder = g_ptr_array_index(store->folders, i);

		g_hash_table_insert(store->folder_names, folder->name, folder);
	}
}

/* ---- ids ----------------------------------------------------------------------------------- */

static uint32_t hash_id(const char *kind, const char *identity, const char *name,
	uint32_t uidvalidity)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint8_t digest[32];
	gsize len = sizeof(digest);
	char number[16];
	uint32_t id;

	snprintf(number, sizeof(number), "%u", uidvalidity);
	/* With the NUL of each, so that no two triples give the same bytes. */
	g_checksum_update(sum, (const guchar *)kind, (gssize)strlen(kind) + 1);
	g_checksum_update(sum, (const guchar *)identity, (gssize)strlen(identity) + 1);
	g_checksum_update(sum, (const guchar *)name, (gssize)strlen(name) + 1);
	g_checksum_update(sum, (const guchar *)number, (gssize)strlen(number) + 1);
	g_checksum_get_digest(sum, digest, &len);
	id = (uint32_t)digest[0] << 16 | (uint32_t)digest[1] << 8 | digest[2];
	return id == 0 ? 1 : id;
}

static uint32_t probe(GHashTable *used, uint32_t id)
{
	while (g_hash_table_contains(used, GUINT_TO_POINTER(id)))
		id = id == ID_MASK ? 1 : id + 1;
	return id;
}

static uint32_t new_dir_id(struct store *store, GHashTable *used, const char *name)
{
	uint32_t id = probe(used, hash_id("dir", store->identity, name, 0));

	g_hash_table_add(used, GUINT_TO_POINTER(id));
	return id;
}

/* ---- to the index -------------------------------------------------------------------------- */

struct folders_job {
	struct store_job job;
	GPtrArray *folders;
	bool is_whole; /* all there are; else those that are new or other than before */
	GArray *gone;  /* box ids to forget */
	struct body_loss loss;

	uint32_t box, uidvalidity; /* a box to know from now on; 0 = none */
};

static int forget_box(struct store_thread *thread, uint32_t box, struct body_loss *loss)
{
	int rc = body_rows_forget(thread, box, 0, UINT32_MAX, loss);

	return rc == SQLITE_OK ? index_forget_box(store_thread_index(thread), box) : rc;
}

static int folders_run(struct store_thread *thread, struct store_job *base)
{
	struct folders_job *job = (struct folders_job *)base;
	struct index *index = store_thread_index(thread);
	int rc = index_put_folders(index, job->folders, job->is_whole);

	for (guint i = 0; rc == SQLITE_OK && i < job->gone->len; i++)
		rc = forget_box(thread, g_array_index(job->gone, uint32_t, i), &job->loss);
	if (rc == SQLITE_OK && job->box != 0)
		rc = index_put_box(index, job->box, job->uidvalidity);
	return rc;
}

static void folders_after(struct store_thread *thread, struct store_job *base)
{
	body_loss_unlink(thread, &((struct folders_job *)base)->loss);
}

static void folders_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct folders_job *job = (struct folders_job *)base;

	if (error)
		store->are_folders_behind = true;
	else
		store_account_loss(store, &job->loss);
}

static void folders_free(struct store_job *base)
{
	struct folders_job *job = (struct folders_job *)base;

	g_ptr_array_unref(job->folders);
	g_array_unref(job->gone);
	body_loss_done(&job->loss);
	g_free(job);
}

static struct store_folder *copy_folder(const struct store_folder *folder)
{
	struct store_folder *copy = g_memdup2(folder, sizeof(*folder));

	copy->name = g_strdup(folder->name);
	copy->path = g_strdup(folder->path);
	copy->role = g_strdup(folder->role);
	return copy;
}

/* Takes `gone`, the boxes that are known no more. */
static struct folders_job *folders_job_new(struct store *store, const GPtrArray *folders,
	bool is_whole, GArray *gone)
{
	struct folders_job *job = g_new0(struct folders_job, 1);

	job->job = (struct store_job){ .run = folders_run,
		.after = folders_after,
		.answer = folders_answer,
		.free = folders_free,
		.is_write = true,
		.rows = folders->len };
	job->is_whole = is_whole;
	job->folders = g_ptr_array_new_with_free_func(store_folder_free);
	for (guint i = 0; i < folders->len; i++)
		g_ptr_array_add(job->folders, copy_folder(g_ptr_array_index(folders, i)));
	store->folder_rows += folders->len;
	job->gone = gone;
	for (guint i = 0; i < gone->len; i++)
		bodies_forget(store, g_array_index(gone, uint32_t, i), 0, UINT32_MAX);
	return job;
}

static GArray *ids_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(uint32_t));
}

/* ---- the listing --------------------------------------------------------------------------- */

const GPtrArray *store_folders(struct store *store)
{
	return store->folders;
}

void store_folders_check(struct store *store)
{
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);

	for (guint i = 0; i < store->folders->len;) {
		struct store_folder *folder = g_ptr_array_index(store->folders, i);

		if (folder->dir_id != 0 && folder->dir_id <= ID_MASK &&
			g_hash_table_add(ids, GUINT_TO_POINTER(folder->dir_id)) &&
			g_hash_table_add(names, folder->name)) {
			i++;
			continue;
		}
		g_ptr_array_remove_index(store->folders, i);
	}
	index_names(store);
}

static struct store_folder *folder_from(const struct mailfs_folder_info *info,
	const struct store_folder *known)
{
	struct store_folder *folder = store_folder_new(info->name);

	if (known) {
		folder->dir_id = known->dir_id;
		folder->box_id = known->box_id;
		folder->uidvalidity = known->uidvalidity;
		folder->modseq = known->modseq;
		folder->listing_ns = known->listing_ns;
		folder->messages = known->messages;
		folder->unseen = known->unseen;
	}
	folder->path = g_strdup(info->path);
	folder->delimiter = info->delimiter;
	folder->flags = info->flags;
	folder->role = g_strdup(info->role);
	return folder;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	const struct store_folder *left = *(const struct store_folder *const *)a;
	const struct store_folder *right = *(const struct store_folder *const *)b;

	return strcmp(left->name, right->name);
}

/* In the order of the names, so that a collision ends the same way whatever order they came in. */
static void assign_dir_ids(struct store *store, GPtrArray *folders)
{
	g_autoptr(GHashTable) used = g_hash_table_new(NULL, NULL);
	g_autoptr(GPtrArray) fresh = g_ptr_array_new();

	for (guint i = 0; i < folders->len; i++) {
		struct store_folder *folder = g_ptr_array_index(folders, i);

		if (folder->dir_id != 0)
			g_hash_table_add(used, GUINT_TO_POINTER(folder->dir_id));
		else
			g_ptr_array_add(fresh, folder);
	}
	g_ptr_array_sort(fresh, compare_names);
	for (guint i = 0; i < fresh->len; i++) {
		struct store_folder *folder = g_ptr_array_index(fresh, i);

		folder->dir_id = new_dir_id(store, used, folder->name);
	}
}

static bool is_as_listed(const struct store_folder *known, const struct mailfs_folder_info *info)
{
	return known && strcmp(known->path, info->path) == 0 && known->delimiter == info->delimiter &&
		known->flags == info->flags && g_strcmp0(known->role, info->role) == 0;
}

/* What a listing changes is written, and no more: most change nothing. Rows of folders that are no
 * more go with all the others, which is rare. */
static void put_listing(struct store *store, const GPtrArray *changed, bool is_whole, GArray *gone)
{
	is_whole |= store->are_folders_behind;
	if (!is_whole && changed->len == 0) {
		g_array_unref(gone);
		return;
	}
	store->are_folders_behind = false;
	store_thread_post(store->thread,
		&folders_job_new(store, is_whole ? store->folders : changed, is_whole, gone)->job);
}

void store_set_folders(struct store *store, const struct mailfs_folder_info *infos, size_t count)
{
	g_autoptr(GPtrArray) old = g_steal_pointer(&store->folders);
	g_autoptr(GHashTable) listed = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) changed = g_ptr_array_new();
	GPtrArray *folders = g_ptr_array_new_with_free_func(store_folder_free);
	GArray *gone = ids_new();
	bool has_lost = false;

	for (size_t i = 0; i < count; i++) {
		const struct store_folder *known = find_folder(store, infos[i].name);
		struct store_folder *folder;

		if (g_hash_table_contains(listed, infos[i].name))
			continue; /* some servers list INBOX twice */
		folder = folder_from(&infos[i], known);
		if (!is_as_listed(known, &infos[i]))
			g_ptr_array_add(changed, folder);
		g_ptr_array_add(folders, folder);
		g_hash_table_add(listed, folder->name);
	}
	for (guint i = 0; i < old->len; i++) {
		const struct store_folder *folder = g_ptr_array_index(old, i);

		if (g_hash_table_contains(listed, folder->name))
			continue;
		has_lost = true;
		if (folder->box_id != 0)
			g_array_append_val(gone, folder->box_id);
	}
	assign_dir_ids(store, folders);

	store->folders = folders;
	index_names(store);
	put_listing(store, changed, has_lost, gone);
}

static char *renamed(const char *name, const char *from, const char *to, char delimiter)
{
	size_t len = strlen(from);

	if (strncmp(name, from, len) != 0 ||
		(name[len] != '\0' && (delimiter == '\0' || name[len] != delimiter)))
		return NULL;
	return g_strconcat(to, name + len, NULL);
}

void store_rename_folders(struct store *store, const char *from, const char *to, char delimiter)
{
	for (guint i = 0; i < store->folders->len; i++) {
		struct store_folder *folder = g_ptr_array_index(store->folders, i);
		g_autofree char *name = renamed(folder->name, from, to, delimiter);

		if (!name || find_folder(store, name))
			continue;
		g_hash_table_remove(store->folder_names, folder->name);
		g_free(folder->name);
		folder->name = g_steal_pointer(&name);
		folder->dir_id = 0; /* another directory; the mailbox is the same */
		g_hash_table_insert(store->folder_names, folder->name, folder);
		store->are_folders_behind = true;
	}
}

/* ---- mailboxes ----------------------------------------------------------------------------- */

static GHashTable *used_box_ids(struct store *store)
{
	GHashTable *used = g_hash_table_new(NULL, NULL);

	/* Ids of before count too: a handle to the old mailbox must not reach the new one. */
	for (guint i = 0; i < store->folders->len; i++) {
		const struct store_folder *folder = g_ptr_array_index(store->folders, i);

		if (folder->box_id != 0)
			g_hash_table_add(used, GUINT_TO_POINTER(folder->box_id));
	}
	return used;
}

uint32_t store_box_id(struct store *store, const char *name, uint32_t uidvalidity)
{
	g_autoptr(GHashTable) used = NULL;
	g_autoptr(GPtrArray) changed = g_ptr_array_new();
	struct store_folder *folder = find_folder(store, name);
	GArray *gone;
	struct folders_job *job;
	uint32_t old;

	if (folder && folder->box_id != 0 && folder->uidvalidity == uidvalidity)
		return folder->box_id;

	used = used_box_ids(store);
	if (!folder) /* selected before it was listed: nothing of it is kept */
		return probe(used, hash_id("box", store->identity, name, uidvalidity));

	old = folder->box_id;
	gone = ids_new();
	if (old != 0)
		g_array_append_val(gone, old);
	folder->box_id = probe(used, hash_id("box", store->identity, name, uidvalidity));
	folder->uidvalidity = uidvalidity;
	folder->modseq = 0;
	folder->listing_ns = 0;
	folder->messages = folder->unseen = 0;

	g_ptr_array_add(changed, folder);
	job = folders_job_new(store, changed, false, gone);
	job->box = folder->box_id;
	job->uidvalidity = uidvalidity;
	store_thread_post(store->thread, &job->job);
	return folder->box_id;
}

struct store_folder *store_folder_of_box(struct store *store, uint32_t box)
{
	for (guint i = 0; i < store->folders->len; i++) {
		struct store_folder *folder = g_ptr_array_index(store->folders, i);

		if (folder->box_id == box)
			return folder;
	}
	return NULL;
}

/* ---- a mailbox that is damaged in the index ------------------------------------------------ */

struct reset_job {
	struct store_job job;
	uint32_t box, uidvalidity;
};

static int reset_run(struct store_thread *thread, struct store_job *base)
{
	struct reset_job *job = (struct reset_job *)base;
	struct index *index = store_thread_index(thread);
	/* New rows heal a row that is wrong, but not the tree they are to lie in. */
	int rc = index_check(index);

	if (rc == SQLITE_OK)
		rc = index_forget_box(index, job->box);
	return rc == SQLITE_OK ? index_put_box(index, job->box, job->uidvalidity) : rc;
}

void store_reset_box(struct store *store, uint32_t box)
{
	struct store_folder *folder = store_folder_of_box(store, box);
	struct reset_job *job;

	if (!folder || store->is_broken)
		return;
	log_warn("store", "rows of a mailbox (%06x) in %s are damaged: asking the server again", box,
		store_dir_index_path(store->dir));
	folder->modseq = 0;
	folder->listing_ns = 0;

	job = g_new0(struct reset_job, 1);
	job->job = (struct store_job){ .run = reset_run, .is_write = true, .rows = 1 };
	job->box = box;
	job->uidvalidity = folder->uidvalidity;
	store_thread_post(store->thread, &job->job);
}
