/* SPDX-License-Identifier: MIT */
/* The vault: what is in it, and what is done next. Loop thread. */
#include "engine/vault_impl.h"

#include <string.h>

#include "engine/change_impl.h"

/* ---- what is in it ----------------------------------------------------------------------------- */

static bool is_of(const struct vault *vault, const char *folder)
{
	const char *only = vault->engine->config.backend->only_folder;

	return only && strcmp(only, folder) == 0;
}

struct journal_kept *vault_find(const struct vault *vault, uint32_t uid)
{
	return g_hash_table_lookup(vault->items, GUINT_TO_POINTER(uid));
}

void vault_put(struct vault *vault, struct journal_kept *row)
{
	g_hash_table_replace(vault->items, GUINT_TO_POINTER(row->uid), row);
}

static void on_row_dropped(void *user, const GError *error)
{
	struct vault_drop *drop = user;
	struct vault *vault = drop->vault;

	if (vault) {
		g_ptr_array_remove_fast(vault->drops, drop);
		if (error)
			engine_add_reason(vault->engine, "what was removed here will be back: %s", error->message);
		else
			spool_remove(vault->journal, drop->id);
	}
	g_free(drop);
}

void vault_drop(struct vault *vault, uint32_t uid)
{
	const struct journal_kept *row = vault_find(vault, uid);
	struct vault_drop *drop;

	if (!row || !vault->journal)
		return;
	/* The row first: a file without a row is swept, a row without a file would be a promise. */
	drop = g_new(struct vault_drop, 1);
	*drop = (struct vault_drop){ .vault = vault, .id = row->id };
	g_ptr_array_add(vault->drops, drop);
	journal_drop(vault->journal, &drop->id, 1, JOURNAL_SYNCED, on_row_dropped, drop);
	g_hash_table_remove(vault->items, GUINT_TO_POINTER(uid));
}

struct message *vault_message(const struct vault *vault, const char *name, uint32_t uid,
	struct folder **ret_folder)
{
	struct folder *folder = tree_by_name(vault->engine->tree, name);

	*ret_folder = folder;
	return folder && folder->box ? mailbox_find(folder->box, uid) : NULL;
}

void vault_on_row(void *user, const struct journal_kept *row)
{
	struct change_start *start = user;
	struct vault *vault = start->engine->vault;

	vault_put(vault, journal_kept_copy(row));
}

void vault_add_ids(const struct vault *vault, GArray *ids)
{
	GHashTableIter iter;
	gpointer row;

	g_hash_table_iter_init(&iter, vault->items);
	while (g_hash_table_iter_next(&iter, NULL, &row))
		g_array_append_val(ids, ((const struct journal_kept *)row)->id);
}

bool vault_has(const struct vault *vault, const char *folder, uint32_t uid)
{
	return vault_find(vault, uid) && is_of(vault, folder);
}

bool vault_matches(const struct vault *vault, uint32_t uid, uint64_t size, const uint8_t digest[32])
{
	const struct journal_kept *row = vault_find(vault, uid);

	return row && row->size == size && memcmp(row->sha256, digest, sizeof(row->sha256)) == 0;
}

bool vault_is_gone(const struct vault *vault, const struct folder *folder, uint32_t uid)
{
	return vault_has(vault, folder->name, uid) && vault_find(vault, uid)->is_gone;
}

static int by_uid(gconstpointer a, gconstpointer b)
{
	uint32_t left = (*(const struct journal_kept *const *)a)->uid;
	uint32_t right = (*(const struct journal_kept *const *)b)->uid;

	return left < right ? -1 : left > right;
}

void vault_each(const struct vault *vault, const struct folder *folder,
	void (*fn)(void *user, const struct journal_kept *row), void *user)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new();
	GHashTableIter iter;
	gpointer row;

	if (!is_of(vault, folder->name))
		return;
	g_hash_table_iter_init(&iter, vault->items);
	while (g_hash_table_iter_next(&iter, NULL, &row))
		g_ptr_array_add(rows, row);
	g_ptr_array_sort(rows, by_uid);
	for (guint i = 0; i < rows->len; i++)
		fn(user, g_ptr_array_index(rows, i));
}

void vault_message_gone(struct vault *vault, const char *folder, uint32_t uid)
{
	if (vault_has(vault, folder, uid))
		vault_drop(vault, uid);
}

bool vault_can_read(const struct vault *vault, const char *folder, uint32_t uid)
{
	uint64_t size;

	/* A file that should be there and is not is an error, where it is ours alone. */
	return vault_has(vault, folder, uid) &&
		(vault->journal ||
			spool_has(vault->engine->config.journal, vault_find(vault, uid)->id, &size));
}

void vault_read(struct vault *vault, uint32_t uid, struct mailfs_range range, spool_read_fn done,
	void *user)
{
	const struct journal_kept *row = vault_find(vault, uid);
	struct spool_file *file = spool_file_open(vault->engine->config.journal, row->id, false);

	spool_file_set_size(file, row->size);
	spool_read(file, range, done, user);
	spool_file_unref(file); /* closes with the last job */
}

struct vault_status vault_status(const struct vault *vault)
{
	struct vault_status status = { .messages = g_hash_table_size(vault->items) };
	GHashTableIter iter;
	gpointer row;

	g_hash_table_iter_init(&iter, vault->items);
	while (g_hash_table_iter_next(&iter, NULL, &row)) {
		status.gone += ((const struct journal_kept *)row)->is_gone;
		status.bytes += ((const struct journal_kept *)row)->size;
	}
	return status;
}

uint64_t vault_pending_bytes(const struct vault *vault)
{
	return vault->pending;
}

/* ---- what is due ------------------------------------------------------------------------------ */

void vault_look(struct vault *vault, struct folder *folder)
{
	if (!vault->is_on || !is_of(vault, folder->name))
		return;
	memset(vault->tried, 0, sizeof(vault->tried));
	vault_work_next(vault, folder);
}

void vault_online(struct vault *vault)
{
	struct engine *engine = vault->engine;
	struct folder *folder =
		vault->is_on ? tree_by_name(engine->tree, engine->config.backend->only_folder) : NULL;

	if (!folder || !engine->was_started || pool_state(engine->pool) != ENGINE_ONLINE)
		return;
	syncer_note_use(engine, folder);
	syncer_sync(engine, folder, NULL, NULL);
}

/* ---- life ------------------------------------------------------------------------------------- */

struct vault *vault_new(struct engine *engine)
{
	const struct engine_config *config = &engine->config;
	struct vault *vault = g_new0(struct vault, 1);

	vault->engine = engine;
	vault->journal = config->is_read_only ? NULL : config->journal;
	vault->is_on = config->clears_server && config->journal && !config->is_read_only &&
		config->backend->only_folder && config->backend->remove &&
		(config->backend->traits & MAILFS_TRAIT_KEYS) != 0;
	vault->items = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)journal_kept_free);
	vault->endless = g_hash_table_new(NULL, NULL);
	vault->drops = g_ptr_array_new();
	return vault;
}

void vault_free(struct vault *vault)
{
	if (vault->work)
		vault_work_forget(vault->work);
	g_hash_table_unref(vault->items);
	g_hash_table_unref(vault->endless);
	for (guint i = 0; i < vault->drops->len; i++)
		((struct vault_drop *)g_ptr_array_index(vault->drops, i))->vault = NULL;
	g_ptr_array_unref(vault->drops);
	g_free(vault);
}
