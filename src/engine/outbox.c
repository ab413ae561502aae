/* SPDX-License-Identifier: MIT */
/*
 * Which new messages there are: in memory by id and by name, in the journal for the next mount.
 */
#include "engine/outbox_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* ---- items -------------------------------------------------------------------------------------
 */

struct outbox_item *outbox_add(
	struct outbox *outbox, uint64_t id, const char *folder, const char *name)
{
	struct outbox_item *item = g_new0(struct outbox_item, 1);

	item->draft.id = id;
	item->draft.folder = g_strdup(folder);
	item->draft.name = g_strdup(name);
	item->draft.keywords = g_strdup("");
	item->draft.references = 1;
	item->outbox = outbox;
	item->predecessors = g_ptr_array_new();
	g_queue_init(&item->waiters);
	g_hash_table_insert(outbox->by_id, &item->draft.id, item);
	g_hash_table_add(outbox->all, item);
	return item;
}

struct draft *draft_ref(struct draft *draft)
{
	draft->references++;
	return draft;
}

void draft_unref(struct draft *draft)
{
	struct outbox_item *item = outbox_item(draft);

	if (--draft->references > 0)
		return;
	if (item->outbox)
		g_hash_table_remove(item->outbox->all, item);
	g_assert(!item->planned && !item->key && g_queue_is_empty(&item->waiters));
	spool_file_unref(item->file);
	outbox_look_free(item->look);
	outbox_wire_clear(&item->wire);
	g_ptr_array_unref(item->predecessors);
	g_free(draft->folder);
	g_free(draft->name);
	g_free(draft->keywords);
	g_free(draft->reason);
	g_free(item);
}

struct folder *outbox_folder(const struct outbox_item *item)
{
	return tree_by_name(item->outbox->engine->tree, item->draft.folder);
}

void outbox_touch(const struct outbox_item *item)
{
	struct folder *folder = outbox_folder(item);

	if (folder)
		changes_touch_listing(item->outbox->engine, folder);
}

static int by_id(gconstpointer a, gconstpointer b)
{
	const struct draft *left = *(const struct draft *const *)a;
	const struct draft *right = *(const struct draft *const *)b;

	return left->id < right->id ? -1 : left->id > right->id;
}

GPtrArray *outbox_items(const struct outbox *outbox)
{
	GPtrArray *items = g_ptr_array_sized_new(g_hash_table_size(outbox->by_id));
	GHashTableIter iter;
	gpointer item;

	g_hash_table_iter_init(&iter, outbox->by_id);
	while (g_hash_table_iter_next(&iter, NULL, &item))
		g_ptr_array_add(items, item);

	g_ptr_array_sort(items, by_id);
	return items;
}

/* ---- names -------------------------------------------------------------------------------------
 */

static char *key_of(const char *folder, const char *name)
{
	return g_strconcat(folder, "/", name, NULL); /* a name has no slash */
}

static GPtrArray *items_in(struct outbox *outbox, const char *folder)
{
	GPtrArray *items = g_hash_table_lookup(outbox->by_folder, folder);

	if (items)
		return items;
	items = g_ptr_array_new();
	g_hash_table_insert(outbox->by_folder, g_strdup(folder), items);
	return items;
}

void outbox_show(struct outbox_item *item)
{
	struct outbox *outbox = item->outbox;
	GPtrArray *items = items_in(outbox, item->draft.folder);
	guint at = items->len;

	g_assert(!item->key);
	item->key = key_of(item->draft.folder, item->draft.name);
	g_hash_table_insert(outbox->by_name, item->key, item);
	while (at > 0 && ((struct draft *)items->pdata[at - 1])->id > item->draft.id)
		at--;
	g_ptr_array_insert(items, (gint)at, item);
}

void outbox_hide(struct outbox_item *item)
{
	if (!item->key)
		return;
	g_hash_table_remove(item->outbox->by_name, item->key);
	g_ptr_array_remove(items_in(item->outbox, item->draft.folder), item);
	g_clear_pointer(&item->key, g_free);
}

void outbox_rename(struct outbox_item *item, const char *folder, const char *name)
{
	bool is_visible = item->key != NULL;
	char *old_folder = item->draft.folder, *old_name = item->draft.name;

	outbox_hide(item);
	item->draft.folder = g_strdup(folder);
	item->draft.name = g_strdup(name);
	g_free(old_folder);
	g_free(old_name);
	if (is_visible)
		outbox_show(item);
}

struct outbox_item *outbox_find(const struct outbox *outbox, const char *folder, const char *name)
{
	g_autofree char *key = key_of(folder, name);

	return g_hash_table_lookup(outbox->by_name, key);
}

/* Of editors and rsync, which rename them into place. WR-1. */
bool outbox_is_temporary(const char *name)
{
	return name[0] == '.' || g_str_has_suffix(name, "~") || g_str_has_suffix(name, ".swp") ||
	       g_str_has_suffix(name, ".tmp");
}

/* ---- rows --------------------------------------------------------------------------------------
 */

void outbox_set_reason(struct outbox_item *item, const char *reason)
{
	char *copy = g_strdup(reason);

	g_free(item->draft.reason);
	item->draft.reason = copy;
}

void outbox_put_row(struct outbox_item *item, enum journal_durability durability,
	store_done_fn done, void *user)
{
	struct journal_draft row = {
		.id = item->draft.id,
		.state = item->draft.state,
		.folder = item->draft.folder,
		.name = item->draft.name,
		.size = item->draft.size,
		.mtime_ns = item->draft.mtime_ns,
		.ctime_ns = item->draft.ctime_ns,
		.mode = item->draft.mode,
		.flags = item->draft.flags,
		.keywords = item->draft.keywords,
		.reason = item->draft.reason,
		.uidvalidity = item->wire.uidvalidity,
		.uid_floor = item->wire.uid_floor,
		.wire_size = item->wire.size,
		.uid = item->uid,
		.replaces_uidvalidity = item->replaces_uidvalidity,
		.replaces_uid = item->draft.replaces_uid,
		.successor = item->successor,
	};

	memcpy(row.wire_sha256, item->wire.sha256, sizeof(row.wire_sha256));
	journal_put_draft(item->outbox->journal, &row, durability, done, user);
}

struct spool_file *outbox_file(struct outbox_item *item)
{
	if (!item->file)
		item->file = spool_file_open(item->outbox->journal, item->draft.id, false);
	return item->file;
}

void outbox_close_file(struct outbox_item *item)
{
	if (item->draft.handles == 0 &&
		(item->phase == OUTBOX_IDLE || item->phase == OUTBOX_LANDED))
		g_clear_pointer(&item->file, spool_file_unref);
}

static void on_row_dropped(void *user, const GError *error)
{
	struct outbox_item *item = user;

	/* After its row: what a kill leaves is swept. */
	if (item->outbox) {
		spool_remove(item->outbox->journal, item->draft.id);
		outbox_answer(item, error);
	}
	outbox_release(item);
}

static void leave_successor(struct outbox_item *item)
{
	struct outbox_item *successor = g_hash_table_lookup(item->outbox->by_id, &item->successor);

	if (successor)
		g_ptr_array_remove(successor->predecessors, item);
}

/* Not in any list any more, and nobody has it open. */
static void forget(struct outbox_item *item)
{
	g_hash_table_remove(item->outbox->by_id, &item->draft.id);
	g_clear_pointer(&item->file, spool_file_unref);
	outbox_release(item);
}

void outbox_drop(struct outbox_item *item)
{
	struct outbox *outbox = item->outbox;

	if (item->is_dropped)
		return;
	item->is_dropped = item->draft.is_unlinked = true;
	outbox_hide(item);
	outbox_unplan(item);
	outbox_set_phase(item, OUTBOX_IDLE);
	outbox_set_replaces(item, 0, 0);
	leave_successor(item);
	journal_drop(outbox->journal, &item->draft.id, 1, JOURNAL_LAZY, on_row_dropped,
		outbox_hold(item));
	if (item->draft.handles == 0)
		forget(item);
}

/* ---- life --------------------------------------------------------------------------------------
 */

struct outbox *outbox_new(struct engine *engine)
{
	struct outbox *outbox = g_new0(struct outbox, 1);

	outbox->engine = engine;
	outbox->journal = engine->config.is_read_only ? NULL : engine->config.journal;
	outbox->by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
	outbox->all = g_hash_table_new(NULL, NULL);
	outbox->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	outbox->by_folder = g_hash_table_new_full(
		g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
	outbox->quota = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	outbox->flying = g_hash_table_new(NULL, NULL);
	outbox->planned = g_sequence_new(NULL);
	return outbox;
}

/* What the journal and the spool still answer finds outbox == NULL. */
static void disown(struct outbox_item *item, const GError *error)
{
	outbox_unplan(item);
	g_clear_pointer(&item->key, g_free);
	item->outbox = NULL;
	g_clear_pointer(&item->file, spool_file_unref);
	outbox_answer(item, error);
}

void outbox_free(struct outbox *outbox)
{
	g_autoptr(GPtrArray) items = outbox_items(outbox);
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)outbox_release);
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the end");
	GHashTableIter iter;
	gpointer item;

	g_clear_handle_id(&outbox->timer, g_source_remove);
	g_hash_table_iter_init(&iter, outbox->all);
	while (g_hash_table_iter_next(&iter, &item, NULL))
		g_ptr_array_add(all, outbox_hold(item));
	for (guint i = 0; i < all->len; i++)
		disown(all->pdata[i], error);
	g_hash_table_remove_all(outbox->by_id);
	for (guint i = 0; i < items->len; i++)
		outbox_release(items->pdata[i]);
	g_hash_table_unref(outbox->all);
	g_hash_table_unref(outbox->by_id);
	g_hash_table_unref(outbox->by_name);
	g_hash_table_unref(outbox->by_folder);
	g_hash_table_unref(outbox->quota);
	g_hash_table_unref(outbox->flying);
	g_clear_pointer(&outbox->hidden, g_hash_table_unref);
	g_sequence_free(outbox->planned);
	g_free(outbox);
}

void outbox_folder_renamed(struct engine *engine, const char *from, const char *to, char delimiter)
{
	g_autoptr(GPtrArray) items = outbox_items(engine->outbox);
	size_t len = strlen(from);

	for (guint i = 0; i < items->len; i++) {
		struct outbox_item *item = items->pdata[i];
		const char *rest = item->draft.folder + len;
		g_autofree char *folder = NULL;

		if (strncmp(item->draft.folder, from, len) != 0 ||
			(*rest != '\0' && (delimiter == '\0' || *rest != delimiter)))
			continue;
		folder = g_strconcat(to, rest, NULL);
		outbox_rename(item, folder, item->draft.name);
		g_free(item->wire.folder);
		item->wire.folder = g_strdup(folder);
	}
}

/* ---- for those above ---------------------------------------------------------------------------
 */

static struct draft *with_dir(struct outbox_item *item)
{
	struct folder *folder;

	if (!item)
		return NULL;
	folder = outbox_folder(item);
	item->draft.dir_id = folder ? folder->dir_id : 0;
	return &item->draft;
}

struct draft *engine_draft_by_id(const struct engine *engine, uint64_t id)
{
	struct outbox_item *item = g_hash_table_lookup(engine->outbox->by_id, &id);

	/* It is a message by now; only its row waits for the index. */
	if (item && item->phase == OUTBOX_LANDED && item->draft.handles == 0)
		return NULL;
	return with_dir(item);
}

struct draft *engine_draft_by_name(
	const struct engine *engine, const struct folder *folder, const char *name)
{
	return folder->name ? with_dir(outbox_find(engine->outbox, folder->name, name)) : NULL;
}

void engine_each_draft(
	const struct engine *engine, const struct folder *folder, engine_draft_fn fn, void *user)
{
	const GPtrArray *items =
		folder->name ? g_hash_table_lookup(engine->outbox->by_folder, folder->name) : NULL;

	for (guint i = 0; items && i < items->len; i++)
		fn(user, with_dir(items->pdata[i]));
}

struct draft *engine_draft_create(struct engine *engine, struct folder *folder, const char *name,
	unsigned mode, GError **error)
{
	struct outbox *outbox = engine->outbox;
	struct outbox_item *item;

	if (!folder->name || (folder->flags & MAILFS_FOLDER_NOSELECT) != 0) {
		g_set_error(error, MAILFS_ERROR,
			engine->config.is_read_only ? MAILFS_ERROR_READ_ONLY
						    : MAILFS_ERROR_NOT_POSSIBLE,
			"no message can be here");
		return NULL;
	}
	if (!changes_allowed(engine, folder, MAILFS_RIGHT_INSERT, error))
		return NULL;
	if (outbox_find(outbox, folder->name, name)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_EXISTS, "there is such a file");
		return NULL;
	}
	item = outbox_add(outbox, journal_new_id(outbox->journal), folder->name, name);
	item->draft.dir_id = folder->dir_id;
	item->draft.mode = mode;
	item->draft.mtime_ns = item->draft.ctime_ns = clock_realtime_ns();
	item->draft.handles = 1;
	item->file = spool_file_open(outbox->journal, item->draft.id, true);
	outbox_put_row(item, JOURNAL_LAZY, NULL, NULL);
	outbox_show(item);
	outbox_touch(item);
	return &item->draft;
}

void engine_draft_open(struct engine *engine, struct draft *draft)
{
	draft->handles++;
}

void engine_draft_close(struct engine *engine, struct draft *draft)
{
	struct outbox_item *item = outbox_item(draft);

	g_assert(draft->handles > 0);
	if (--draft->handles > 0)
		return;
	if (item->is_dropped) {
		forget(item);
		return;
	}
	if (item->phase == OUTBOX_LANDED) {
		outbox_drop_landed(item);
		return;
	}
	if (item->phase == OUTBOX_IDLE)
		outbox_plan(item, engine->config.upload_delay_ms);
	outbox_close_file(item);
}
