/* SPDX-License-Identifier: MIT */
/* The folders of an account as a directory tree. Loop thread. */
#include "model/tree.h"

#include <string.h>

#define SHOWN_MAX 200u /* of a name that gets a suffix */

static struct folder *folder_new(void)
{
	struct folder *folder = g_new0(struct folder, 1);

	folder->named = g_hash_table_new(g_str_hash, g_str_equal);
	folder->children = g_ptr_array_new();
	folder->rights = MAILFS_RIGHTS_ALL;
	folder->permanent_flags = MAILFS_FLAGS_ALL;
	folder->keywords_allowed = true;
	return folder;
}

static void folder_free(struct folder *folder)
{
	g_hash_table_unref(folder->named);
	g_ptr_array_unref(folder->children);
	mailbox_free(folder->box);
	g_free(folder->name);
	g_free(folder->path);
	g_free(folder->shown);
	g_free(folder->role);
	g_strfreev(folder->keywords);
	g_free(folder);
}

struct tree *tree_new(void)
{
	struct tree *tree = g_new0(struct tree, 1);

	tree->root = folder_new();
	tree->root->shown = g_strdup("");
	tree->root->flags = MAILFS_FOLDER_NOSELECT;
	tree->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	tree->by_path = g_hash_table_new(g_str_hash, g_str_equal);
	tree->by_id = g_hash_table_new(NULL, NULL);
	tree->by_box = g_hash_table_new(NULL, NULL);
	tree->by_unloaded = g_hash_table_new(NULL, NULL);
	return tree;
}

void tree_free(struct tree *tree, tree_drop_fn drop, void *user)
{
	GHashTableIter iter;
	gpointer folder;

	g_hash_table_iter_init(&iter, tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &folder)) {
		if (drop)
			drop(user, folder);
		folder_free(folder);
	}
	folder_free(tree->root);
	g_hash_table_unref(tree->by_name);
	g_hash_table_unref(tree->by_path);
	g_hash_table_unref(tree->by_id);
	g_hash_table_unref(tree->by_box);
	g_hash_table_unref(tree->by_unloaded);
	g_free(tree);
}

void tree_unload_box(struct tree *tree, struct folder *folder)
{
	g_assert(folder->box && folder->box_id == folder->box->id);
	tree_set_box(tree, folder, NULL);
	g_hash_table_replace(tree->by_unloaded, GUINT_TO_POINTER(folder->box_id), folder);
}

struct folder *tree_by_unloaded(const struct tree *tree, uint32_t box_id)
{
	return g_hash_table_lookup(tree->by_unloaded, GUINT_TO_POINTER(box_id));
}

unsigned tree_unloaded(const struct tree *tree)
{
	return g_hash_table_size(tree->by_unloaded);
}

void tree_set_coming(struct tree *tree, struct folder *folder, struct mailbox *coming)
{
	if (folder->coming)
		g_hash_table_remove(tree->by_unloaded, GUINT_TO_POINTER(folder->coming->id));
	folder->coming = coming;
	folder->coming_to = 0;
	if (coming)
		g_hash_table_replace(tree->by_unloaded, GUINT_TO_POINTER(coming->id), folder);
}

bool folder_is_hidden(const struct folder *folder)
{
	return (folder->flags & MAILFS_FOLDER_HIDDEN) != 0;
}

const struct mailbox *folder_listing(const struct folder *folder)
{
	return folder->box ? folder->box : folder->coming;
}

void tree_set_box(struct tree *tree, struct folder *folder, struct mailbox *box)
{
	if (tree_by_unloaded(tree, folder->box_id) == folder)
		g_hash_table_remove(tree->by_unloaded, GUINT_TO_POINTER(folder->box_id));
	if (folder->box && folder->box != box) {
		g_hash_table_remove(tree->by_box, GUINT_TO_POINTER(folder->box->id));
		mailbox_free(folder->box);
	}
	folder->box = box;
	if (!box)
		return;
	folder->box_id = box->id;
	folder->uidvalidity = box->uidvalidity;
	g_hash_table_replace(tree->by_box, GUINT_TO_POINTER(box->id), folder);
}

/* What comes before the last delimiter; NULL at the top. */
static char *before_last(const char *text, char delimiter)
{
	const char *cut = delimiter != 0 ? strrchr(text, delimiter) : NULL;

	return cut ? g_strndup(text, (gsize)(cut - text)) : NULL;
}

/* By the wire name, else by the path: "Inbox/Sub" is below what is listed as "INBOX". */
static struct folder *lookup_parent(const struct tree *tree, const struct tree_entry *entry)
{
	g_autofree char *name = before_last(entry->name, entry->delimiter);
	g_autofree char *path = before_last(entry->path, entry->delimiter);
	struct folder *parent = name ? g_hash_table_lookup(tree->by_name, name) : NULL;

	if (!parent && path)
		parent = g_hash_table_lookup(tree->by_path, path);
	return parent;
}

static const char *last_component(const struct tree_entry *entry)
{
	const char *cut = entry->delimiter != 0 ? strrchr(entry->path, entry->delimiter) : NULL;

	return cut ? cut + 1 : entry->path;
}

static bool is_under(const struct folder *folder, const struct folder *top)
{
	for (; folder; folder = folder->parent) {
		if (folder == top)
			return true;
	}
	return false;
}

static struct folder *find_parent(const struct tree *tree, const struct tree_entry *entry,
	const struct folder *folder)
{
	struct folder *parent = lookup_parent(tree, entry);
	unsigned depth = 0;

	if (!parent || !parent->is_listed || folder_is_hidden(parent) || folder_is_hidden(folder) ||
		is_under(parent, folder))
		return tree->root;
	for (const struct folder *up = parent; up; up = up->parent)
		depth++;
	return depth < TREE_DEPTH_MAX ? parent : tree->root;
}

static bool is_taken(const struct folder *parent, const struct folder *folder, const char *shown)
{
	const struct folder *twin = tree_child(parent, shown);

	return twin && twin != folder;
}

/* A second folder that would be shown under the same name gets a suffix made of its identity; and
 * if somebody is called just so, the next one that is free. */
static char *unique_shown(const struct folder *parent, const struct folder *folder, char *shown)
{
	g_autofree char *wanted = shown;
	size_t len = strlen(wanted);
	char *unique = g_strdup(wanted);

	/* Room for the suffix; not in the middle of a character. */
	if (len > SHOWN_MAX) {
		len = SHOWN_MAX;
		while (len > 0 && ((unsigned char)wanted[len] & 0xc0) == 0x80)
			len--;
	}
	for (uint32_t i = 0; is_taken(parent, folder, unique); i++) {
		g_free(unique);
		unique = g_strdup_printf("%.*s~%06x", (int)len, wanted, folder->dir_id + i);
	}
	return unique;
}

static bool replace_string(char **slot, const char *text)
{
	if (g_strcmp0(*slot, text) == 0)
		return false;
	g_free(*slot);
	*slot = g_strdup(text);
	return true;
}

static void take_out(struct folder *folder, GHashTable *changed)
{
	if (folder->parent && tree_child(folder->parent, folder->shown) == folder) {
		g_hash_table_remove(folder->parent->named, folder->shown);
		g_hash_table_add(changed, folder->parent);
	}
	folder->parent = NULL;
}

static void folder_drop(struct tree *tree, struct folder *folder, GHashTable *changed,
	tree_drop_fn drop, void *user)
{
	GHashTableIter iter;
	gpointer child;

	if (drop)
		drop(user, folder);
	take_out(folder, changed);
	g_hash_table_iter_init(&iter, folder->named);
	while (g_hash_table_iter_next(&iter, NULL, &child))
		((struct folder *)child)->parent = NULL;
	g_hash_table_remove(tree->by_id, GUINT_TO_POINTER(folder->dir_id));
	g_hash_table_remove(changed, folder);
	tree_set_box(tree, folder, NULL);
	folder_free(folder);
}

static void drop_unlisted(struct tree *tree, GHashTable *changed, tree_drop_fn drop, void *user)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct folder *folder = value;

		if (folder->is_listed)
			continue;
		g_hash_table_iter_remove(&iter);
		folder_drop(tree, folder, changed, drop, user);
	}
}

/* First pass: every entry has an object, without a place in the tree yet if it is new. */
static struct folder *enter(struct tree *tree, const struct tree_entry *entry)
{
	struct folder *folder = g_hash_table_lookup(tree->by_name, entry->name);

	if (!folder) {
		folder = folder_new();
		folder->name = g_strdup(entry->name);
		folder->dir_id = entry->dir_id;
		g_hash_table_insert(tree->by_name, folder->name, folder);
		g_hash_table_insert(tree->by_id, GUINT_TO_POINTER(folder->dir_id), folder);
	}
	replace_string(&folder->path, entry->path);
	replace_string(&folder->role, entry->role);
	folder->delimiter = entry->delimiter;
	folder->flags = entry->flags;
	folder->is_listed = true;
	return folder;
}

/* Second pass: its parent, and the name it is shown under (which stays once it is placed). */
static void place(struct tree *tree, const struct tree_entry *entry, tree_component_fn component,
	GHashTable *changed)
{
	struct folder *folder = g_hash_table_lookup(tree->by_name, entry->name);
	struct folder *parent = find_parent(tree, entry, folder);
	const char *last = parent == tree->root ? entry->path : last_component(entry);
	bool is_in_place = folder->parent == parent &&
		(tree_child(parent, folder->shown) != folder) == folder_is_hidden(folder);

	if (is_in_place)
		return;
	take_out(folder, changed);
	g_free(folder->shown);
	folder->shown = unique_shown(parent, folder,
		component(last, strlen(last), parent == tree->root));
	folder->parent = parent;
	if (folder_is_hidden(folder))
		return;
	g_hash_table_insert(parent->named, folder->shown, folder);
	g_hash_table_add(changed, parent);
}

static int by_shown(gconstpointer a, gconstpointer b)
{
	const struct folder *const *left = a;
	const struct folder *const *right = b;

	return strcmp((*left)->shown, (*right)->shown);
}

static void sort_children(struct folder *folder)
{
	GHashTableIter iter;
	gpointer child;

	g_ptr_array_set_size(folder->children, 0);
	g_hash_table_iter_init(&iter, folder->named);
	while (g_hash_table_iter_next(&iter, NULL, &child))
		g_ptr_array_add(folder->children, child);
	g_ptr_array_sort(folder->children, by_shown);
	folder->generation++;
}

static int by_entry_path(gconstpointer a, gconstpointer b)
{
	const struct tree_entry *const *left = a;
	const struct tree_entry *const *right = b;

	return strcmp((*left)->path, (*right)->path) != 0 ? strcmp((*left)->path, (*right)->path) :
		strcmp((*left)->name, (*right)->name);
}

bool tree_update(struct tree *tree, const struct tree_entry *entries, size_t count,
	tree_component_fn component, tree_drop_fn drop, void *user)
{
	g_autoptr(GHashTable) changed = g_hash_table_new(NULL, NULL);
	g_autoptr(GPtrArray) order = g_ptr_array_sized_new((guint)count);
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		((struct folder *)value)->is_listed = false;

	for (size_t i = 0; i < count; i++) {
		enter(tree, &entries[i]);
		g_ptr_array_add(order, (gpointer)&entries[i]);
	}
	drop_unlisted(tree, changed, drop, user);
	for (size_t i = 0; i < count; i++) {
		struct folder *folder = g_hash_table_lookup(tree->by_name, entries[i].name);

		if (!g_hash_table_contains(tree->by_path, folder->path))
			g_hash_table_insert(tree->by_path, folder->path, folder);
	}
	/* By path a parent comes before its children, and the same listing gives the same tree. */
	g_ptr_array_sort(order, by_entry_path);
	for (guint i = 0; i < order->len; i++)
		place(tree, g_ptr_array_index(order, i), component, changed);
	g_hash_table_remove_all(tree->by_path);

	g_hash_table_iter_init(&iter, changed);
	while (g_hash_table_iter_next(&iter, &value, NULL))
		sort_children(value);
	return g_hash_table_size(changed) > 0;
}

struct folder *tree_by_id(const struct tree *tree, uint32_t dir_id)
{
	return g_hash_table_lookup(tree->by_id, GUINT_TO_POINTER(dir_id));
}

struct folder *tree_by_name(const struct tree *tree, const char *wire_name)
{
	return g_hash_table_lookup(tree->by_name, wire_name);
}

struct folder *tree_by_box(const struct tree *tree, uint32_t box_id)
{
	return g_hash_table_lookup(tree->by_box, GUINT_TO_POINTER(box_id));
}

struct folder *tree_child(const struct folder *folder, const char *shown)
{
	return g_hash_table_lookup(folder->named, shown);
}

struct folder *tree_by_shown_path(const struct tree *tree, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", TREE_DEPTH_MAX + 1);
	struct folder *folder = tree->root;

	for (char **part = parts; *part && folder; part++) {
		if (**part != '\0')
			folder = tree_child(folder, *part);
	}
	return folder;
}

char *tree_shown_path(const struct folder *folder)
{
	GString *path = g_string_new(NULL);

	for (; folder && folder->parent; folder = folder->parent) {
		if (path->len > 0)
			g_string_prepend_c(path, '/');
		g_string_prepend(path, folder->shown);
	}
	return g_string_free(path, FALSE);
}
