/* SPDX-License-Identifier: MIT */
/*
 * The folders of the account: listed by the server, kept in the index, shown by the tree. A
 * listing that fails or comes back empty changes nothing: the last good one stays.
 */
#include "engine/internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define LISTING_FOLDERS_MAX 200000u
#define LISTING_BYTES_MAX   (64u * 1024 * 1024) /* of names */
#define RENAMES_MAX         64u

struct listing_waiter {
	engine_done_fn done;
	void *user;
};

/* Folders that we have renamed. */
struct renaming {
	char *from, *to;
	char delimiter;
};

struct listing {
	struct engine *engine;
	struct pool_job job;
	bool is_running;
	bool was_repeated; /* lost its connection, or lacked most of what is known */
	bool is_shown; /* there was a listing before, from the index or the server */
	size_t bytes;
	GPtrArray *infos; /* struct mailfs_folder_info with strings of its own */
	GHashTable *names;
	GHashTable *paths;
	GQueue waiters;
	GQueue late; /* came when the list was asked for already: the next one is theirs */
	bool is_sent;
	GPtrArray *renames; /* struct renaming *: not seen in a list yet */
	uint32_t count;
};

/* ---- infos of our own -------------------------------------------------------------------------- */

static void info_free(gpointer data)
{
	struct mailfs_folder_info *info = data;

	g_free((char *)info->name);
	g_free((char *)info->path);
	g_free((char *)info->role);
	g_free(info);
}

static void add_info(struct listing *listing, const struct mailfs_folder_info *info)
{
	struct mailfs_folder_info *copy;

	if (listing->infos->len >= LISTING_FOLDERS_MAX || *info->name == '\0' ||
		g_hash_table_contains(listing->names, info->name))
		return;
	listing->bytes += strlen(info->name) + strlen(info->path);
	if (listing->bytes > LISTING_BYTES_MAX)
		return;
	copy = g_memdup2(info, sizeof(*info));
	copy->name = g_strdup(info->name);
	copy->path = g_strdup(info->path);
	copy->role = g_strdup(info->role);
	g_ptr_array_add(listing->infos, copy);
	g_hash_table_add(listing->names, (gpointer)copy->name);
	g_hash_table_add(listing->paths, (gpointer)copy->path);
}

static void on_folder(void *user, const struct mailfs_folder_info *info)
{
	add_info(user, info);
}

/* Deeper ones are shown at the top, under their whole path: they need no parents. */
static bool is_too_deep(const struct mailfs_folder_info *info)
{
	unsigned depth = 0;

	for (const char *at = info->name; (at = strchr(at, info->delimiter)) && depth < TREE_DEPTH_MAX; at++)
		depth++;
	return depth >= TREE_DEPTH_MAX;
}

/* A server may list "a/b" without "a": the parent is a directory all the same (NM-7). */
static void add_parents(struct listing *listing, const struct mailfs_folder_info *child)
{
	g_autofree char *name = NULL;
	g_autofree char *path = NULL;
	char *name_cut, *path_cut;

	if (child->delimiter == 0 || (child->flags & MAILFS_FOLDER_HIDDEN) != 0 || is_too_deep(child))
		return;
	name = g_strdup(child->name);
	path = g_strdup(child->path);
	while ((name_cut = strrchr(name, child->delimiter)) &&
		(path_cut = strrchr(path, child->delimiter))) {
		*name_cut = '\0';
		*path_cut = '\0';
		if (*name == '\0' || g_hash_table_contains(listing->names, name) ||
			g_hash_table_contains(listing->paths, path))
			return;
		add_info(listing, &(struct mailfs_folder_info){
			.name = name,
			.path = path,
			.delimiter = child->delimiter,
			.flags = MAILFS_FOLDER_NOSELECT,
		});
	}
}

/* ---- into the tree ----------------------------------------------------------------------------- */

static void on_drop(void *user, struct folder *folder)
{
	struct engine *engine = user;

	if (folder->parent && !folder_is_hidden(folder))
		engine_tell_news(engine, ENGINE_NEWS_FOLDER_GONE, folder, 0, NULL, false);
	if (engine->events.folder_gone)
		engine->events.folder_gone(engine->user, folder);
	syncer_drop(engine, folder);
}

static void take_index(struct engine *engine, const struct store_folder *row)
{
	struct folder *folder = tree_by_name(engine->tree, row->name);

	if (!folder || folder->box)
		return;
	folder->box_id = row->box_id;
	folder->uidvalidity = row->uidvalidity;
	folder->messages = row->messages;
	folder->unseen = row->unseen;
	folder->listing_ns = MAX(folder->listing_ns, row->listing_ns);
}

/* The time of a listing survives the process, where there is a row for it. */
static void store_time(struct engine *engine, const struct folder *folder)
{
	const struct mailbox *box = folder->box;
	struct store_batch *batch;

	if (!box || box->uidvalidity == 0)
		return;
	batch = store_batch_new(engine->config.store, box->id);
	store_batch_set_state(batch, box->modseq, folder->listing_ns, mailbox_count(box), box->unseen);
	store_batch_commit(batch, NULL, NULL);
}

static void tell_if_changed(struct listing *listing, struct folder *folder)
{
	struct engine *engine = listing->engine;

	if (folder->told_generation == folder->generation)
		return;
	folder->told_generation = folder->generation;
	/* Before the mount nobody has seen anything; after a delayed connect somebody may have. */
	if (!listing->is_shown && !engine->was_started)
		return;
	folder->listing_ns = MAX(clock_realtime_ns(), folder->listing_ns + 1);
	if (folder->box)
		folder->box->listing_ns = folder->listing_ns;
	store_time(engine, folder);
	engine->events.listing_changed(engine->user, folder);
}

static void note_folder(struct listing *listing, struct folder *folder)
{
	if (folder->is_told || folder_is_hidden(folder))
		return;
	folder->is_told = true;
	if (listing->is_shown)
		engine_tell_news(listing->engine, ENGINE_NEWS_FOLDER, folder, 0, NULL, false);
}

static void tell_changes(struct listing *listing)
{
	struct tree *tree = listing->engine->tree;
	GHashTableIter iter;
	gpointer folder;

	tell_if_changed(listing, tree->root);
	g_hash_table_iter_init(&iter, tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &folder)) {
		tell_if_changed(listing, folder);
		note_folder(listing, folder);
	}
	listing->is_shown = true;
}

static void show(struct listing *listing)
{
	struct engine *engine = listing->engine;
	const GPtrArray *rows = store_folders(engine->config.store);
	g_autofree struct tree_entry *entries = g_new0(struct tree_entry, rows->len + 1);

	for (guint i = 0; i < rows->len; i++) {
		const struct store_folder *row = g_ptr_array_index(rows, i);

		entries[i] = (struct tree_entry){
			.dir_id = row->dir_id,
			.name = row->name,
			.path = row->path,
			.delimiter = row->delimiter,
			.flags = row->flags,
			.role = row->role,
		};
	}
	tree_update(engine->tree, entries, rows->len, engine->config.component, on_drop, engine);
	for (guint i = 0; i < rows->len; i++)
		take_index(engine, g_ptr_array_index(rows, i));
	listing->count = rows->len;
	if (rows->len > 0)
		tell_changes(listing);
}

static void take_status(struct listing *listing)
{
	struct engine *engine = listing->engine;

	for (guint i = 0; i < listing->infos->len; i++) {
		const struct mailfs_folder_info *info = g_ptr_array_index(listing->infos, i);
		struct folder *folder = tree_by_name(engine->tree, info->name);

		if (!folder || info->status.has == 0)
			continue;
		syncer_take_status(engine, folder, &info->status);
		if (!folder->box) {
			folder->messages = info->status.messages;
			folder->unseen = info->status.unseen;
			if (folder->uidvalidity == 0)
				folder->uidvalidity = info->status.uidvalidity;
			/* Many servers make it from the time: as good an age as any, and always the same. */
			if (folder->listing_ns == 0)
				folder->listing_ns = (int64_t)info->status.uidvalidity * 1000000000;
		}
	}
}

static void renaming_free(gpointer data)
{
	struct renaming *renaming = data;

	g_free(renaming->from);
	g_free(renaming->to);
	g_free(renaming);
}

void listing_note_rename(struct listing *listing, const char *from, const char *to, char delimiter)
{
	struct renaming *renaming = g_new(struct renaming, 1);

	*renaming = (struct renaming){ g_strdup(from), g_strdup(to), delimiter };
	if (listing->renames->len >= RENAMES_MAX)
		g_ptr_array_remove_index(listing->renames, 0);
	g_ptr_array_add(listing->renames, renaming);
}

/* The index follows when a list shows the new name; one that was made before does not yet. */
static void take_renames(struct listing *listing)
{
	for (guint i = 0; i < listing->renames->len;) {
		const struct renaming *renaming = g_ptr_array_index(listing->renames, i);

		if (!g_hash_table_contains(listing->names, renaming->to) ||
			g_hash_table_contains(listing->names, renaming->from)) {
			i++;
			continue;
		}
		store_rename_folders(listing->engine->config.store, renaming->from, renaming->to,
			renaming->delimiter);
		g_ptr_array_remove_index(listing->renames, i);
	}
}

/* While the index knows their bodies. */
static void tell_going(struct listing *listing)
{
	struct engine *engine = listing->engine;
	GHashTableIter iter;
	gpointer value;

	if (!engine->events.folder_going)
		return;
	g_hash_table_iter_init(&iter, engine->tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct folder *folder = value;

		if (!g_hash_table_contains(listing->names, folder->name))
			engine->events.folder_going(engine->user, folder);
	}
}

static void take_listing(struct listing *listing)
{
	struct engine *engine = listing->engine;
	guint listed = listing->infos->len;
	g_autofree struct mailfs_folder_info *flat = NULL;

	if (listed == 0) {
		engine_add_reason(engine, "the server listed no folder at all; the last listing stays");
		return;
	}
	for (guint i = 0; i < listed; i++)
		add_parents(listing, g_ptr_array_index(listing->infos, i));
	flat = g_new(struct mailfs_folder_info, listing->infos->len);
	for (guint i = 0; i < listing->infos->len; i++)
		flat[i] = *(struct mailfs_folder_info *)g_ptr_array_index(listing->infos, i);
	tell_going(listing);
	take_renames(listing);
	store_set_folders(engine->config.store, flat, listing->infos->len);
	show(listing);
	take_status(listing);
}

/* ---- the request ------------------------------------------------------------------------------- */

static void answer(struct listing *listing, const GError *error)
{
	for (guint left = g_queue_get_length(&listing->waiters); left > 0; left--) {
		struct listing_waiter *waiter = g_queue_pop_head(&listing->waiters);

		if (waiter->done)
			waiter->done(waiter->user, error);
		g_free(waiter);
	}
}

static void forget_infos(struct listing *listing)
{
	g_hash_table_remove_all(listing->names);
	g_hash_table_remove_all(listing->paths);
	g_ptr_array_set_size(listing->infos, 0);
	listing->bytes = 0;
}

static void begin_round(struct listing *listing);

/* Unless an answer has begun it already. */
static void next_round(struct listing *listing)
{
	struct listing_waiter *waiter;

	if (listing->is_running || g_queue_is_empty(&listing->late))
		return;
	while ((waiter = g_queue_pop_head(&listing->late)))
		g_queue_push_tail(&listing->waiters, waiter);
	begin_round(listing);
}

static void listing_end(struct listing *listing, const GError *error)
{
	listing->is_running = false;
	if (!error)
		take_listing(listing);
	else if (!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE) &&
		!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED))
		engine_add_reason(listing->engine, "folder list: %s", error->message);
	forget_infos(listing);
	answer(listing, error);
	next_round(listing);
}

/* More than half of the folders would go, and all their messages from the cache. */
static bool is_doubtful(const struct listing *listing)
{
	const GPtrArray *rows = store_folders(listing->engine->config.store);
	guint lost = 0;

	for (guint i = 0; i < rows->len; i++) {
		const struct store_folder *row = g_ptr_array_index(rows, i);

		/* What was made up below the listed ones is made up again. */
		lost += (row->flags & MAILFS_FOLDER_NOSELECT) == 0 &&
			!g_hash_table_contains(listing->names, row->name);
	}
	return listing->infos->len > 0 && lost * 2 > rows->len;
}

static void listing_submit(struct listing *listing);

static void on_done(void *user, const GError *error)
{
	struct listing *listing = user;

	pool_done(listing->engine->pool, &listing->job, error);
	if (!listing->was_repeated &&
		(pool_was_lost(listing->engine->pool, error) || (!error && is_doubtful(listing)))) {
		listing->was_repeated = true;
		forget_infos(listing);
		listing_submit(listing);
		return;
	}
	listing_end(listing, error);
}

static struct listing *of_job(struct pool_job *job)
{
	return (struct listing *)((char *)job - G_STRUCT_OFFSET(struct listing, job));
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	of_job(job)->is_sent = true;
	return of_job(job)->engine->config.backend->list(session, &(struct mailfs_list_request){
		.folder = on_folder,
		.done = on_done,
		.user = of_job(job),
	});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	listing_end(of_job(job), error);
}

static void listing_submit(struct listing *listing)
{
	listing->job = (struct pool_job){
		.priority = POOL_SYNC,
		.weight = 2,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(listing->engine->pool, &listing->job);
}

static void begin_round(struct listing *listing)
{
	listing->is_running = true;
	listing->is_sent = listing->was_repeated = false;
	listing_submit(listing);
}

/* Whoever comes while a list is on its way wants to see what was changed before it came (a folder
 * that was just made): it may not be in there. */
void listing_refresh(struct listing *listing, engine_done_fn done, void *user)
{
	struct listing_waiter *waiter = g_new(struct listing_waiter, 1);

	*waiter = (struct listing_waiter){ .done = done, .user = user };
	g_queue_push_tail(listing->is_running && listing->is_sent ? &listing->late : &listing->waiters,
		waiter);
	if (!listing->is_running)
		begin_round(listing);
}

void listing_from_store(struct listing *listing)
{
	show(listing);
}

bool listing_is_known(const struct listing *listing)
{
	return listing->is_shown || listing->count > 0;
}

uint32_t listing_count(const struct listing *listing)
{
	return listing->count;
}

struct listing *listing_new(struct engine *engine)
{
	struct listing *listing = g_new0(struct listing, 1);

	listing->engine = engine;
	listing->infos = g_ptr_array_new_with_free_func(info_free);
	listing->names = g_hash_table_new(g_str_hash, g_str_equal);
	listing->paths = g_hash_table_new(g_str_hash, g_str_equal);
	g_queue_init(&listing->waiters);
	g_queue_init(&listing->late);
	listing->renames = g_ptr_array_new_with_free_func(renaming_free);
	return listing;
}

void listing_free(struct listing *listing)
{
	g_queue_clear_full(&listing->waiters, g_free);
	g_queue_clear_full(&listing->late, g_free);
	g_ptr_array_unref(listing->renames);
	g_hash_table_unref(listing->names);
	g_hash_table_unref(listing->paths);
	g_ptr_array_unref(listing->infos);
	g_free(listing);
}
