/* SPDX-License-Identifier: MIT */
/* The tree of folders: places, names, what changed, what is dropped. */
#include <glib.h>
#include <string.h>

#include "model/tree.h"

static char *component(const char *bytes, size_t len, bool is_top)
{
	char *text = g_strndup(bytes, len);

	return g_strdelimit(text, "/", '%');
}

/* Shows everything under one name. */
static char *same(const char *bytes, size_t len, bool is_top)
{
	return g_strdup("same");
}

static void count_drop(void *user, struct folder *folder)
{
	++*(unsigned *)user;
}

/* Entries get their id from their name, so that it stays theirs. */
static bool update_with(struct tree *tree, tree_component_fn fn, unsigned *drops, const char *names)
{
	g_auto(GStrv) parts = g_strsplit(names, " ", -1);
	guint count = *names == '\0' ? 0 : g_strv_length(parts);
	g_autofree struct tree_entry *entries = g_new0(struct tree_entry, count + 1);

	for (guint i = 0; i < count; i++)
		entries[i] = (struct tree_entry){
			.dir_id = (g_str_hash(parts[i]) * 2 + 1) & 0xffffff,
			.name = parts[i],
			.path = parts[i],
			.delimiter = '/',
			.flags = parts[i][0] == '.' ? MAILFS_FOLDER_HIDDEN : 0,
		};
	return tree_update(tree, entries, count, fn, count_drop, drops);
}

static bool update(struct tree *tree, const char *names)
{
	unsigned drops = 0;

	return update_with(tree, component, &drops, names);
}

/* One whose name begins with a dot is hidden here. */
static void a_hidden_folder_is_in_no_directory(void)
{
	struct tree *tree = tree_new();
	unsigned drops = 0;
	struct folder *hidden;

	g_assert_true(update(tree, "a .t .t/b"));
	hidden = tree_by_name(tree, ".t");
	g_assert_true(hidden && folder_is_hidden(hidden));
	g_assert_true(tree_by_id(tree, hidden->dir_id) == hidden);
	g_assert_cmpuint(tree->root->children->len, ==, 1);
	g_assert_null(tree_child(tree->root, ".t"));
	g_assert_false(update(tree, "a .t .t/b"));
	/* Whoever is shown under its name stays when it goes. */
	g_assert_true(update_with(tree, same, &drops, "z .t"));
	g_assert_nonnull(tree_child(tree->root, "same"));
	g_assert_false(update_with(tree, same, &drops, "z"));
	g_assert_nonnull(tree_child(tree->root, "same"));
	tree_free(tree, NULL, NULL);
}

static void a_folder_that_is_hidden_or_shown_again_moves(void)
{
	struct tree *tree = tree_new();
	struct tree_entry entry = { .dir_id = 5, .name = "t", .path = "t", .delimiter = '/' };

	g_assert_true(tree_update(tree, &entry, 1, component, NULL, NULL));
	entry.flags = MAILFS_FOLDER_HIDDEN;
	g_assert_true(tree_update(tree, &entry, 1, component, NULL, NULL));
	g_assert_cmpuint(tree->root->children->len, ==, 0);
	g_assert_nonnull(tree_by_name(tree, "t"));
	entry.flags = 0;
	g_assert_true(tree_update(tree, &entry, 1, component, NULL, NULL));
	g_assert_true(tree_child(tree->root, "t") == tree_by_name(tree, "t"));
	tree_free(tree, NULL, NULL);
}

static void children_are_sorted_and_found(void)
{
	struct tree *tree = tree_new();

	g_assert_true(update(tree, "b a a/y a/x"));
	g_assert_cmpuint(tree->root->children->len, ==, 2);
	g_assert_cmpstr(((struct folder *)tree->root->children->pdata[0])->shown, ==, "a");
	g_assert_cmpstr(tree_by_shown_path(tree, "a/x")->name, ==, "a/x");
	g_assert_true(tree_by_shown_path(tree, "") == tree->root);
	g_assert_true(tree_by_shown_path(tree, "/a//x/") == tree_by_name(tree, "a/x"));
	g_assert_null(tree_by_shown_path(tree, "a/z"));
	g_assert_true(tree_by_id(tree, tree_by_name(tree, "b")->dir_id) == tree_by_name(tree, "b"));
	tree_free(tree, NULL, NULL);
}

static void the_shown_path_leads_back(void)
{
	struct tree *tree = tree_new();
	g_autofree char *path = NULL;

	update(tree, "a a/b a/b/c");
	path = tree_shown_path(tree_by_name(tree, "a/b/c"));
	g_assert_cmpstr(path, ==, "a/b/c");
	tree_free(tree, NULL, NULL);
}

static void an_equal_update_changes_nothing(void)
{
	struct tree *tree = tree_new();
	struct folder *folder;

	update(tree, "a a/b");
	folder = tree_by_name(tree, "a");
	g_assert_false(update(tree, "a/b a"));
	g_assert_true(tree_by_name(tree, "a") == folder);
	g_assert_cmpuint(folder->generation, ==, 1);
	tree_free(tree, NULL, NULL);
}

static void only_the_parent_of_a_change_rises(void)
{
	struct tree *tree = tree_new();
	uint32_t root;

	update(tree, "a a/b c");
	root = tree->root->generation;
	g_assert_true(update(tree, "a a/b a/d c"));
	g_assert_cmpuint(tree->root->generation, ==, root);
	g_assert_cmpuint(tree_by_name(tree, "a")->generation, ==, 2);
	g_assert_cmpuint(tree_by_name(tree, "c")->generation, ==, 0);
	tree_free(tree, NULL, NULL);
}

static void dropped_folders_are_told_once_each(void)
{
	struct tree *tree = tree_new();
	unsigned drops = 0;

	update(tree, "a a/b a/b/c d");
	g_assert_true(update_with(tree, component, &drops, "d"));
	g_assert_cmpuint(drops, ==, 3);
	g_assert_null(tree_by_name(tree, "a/b"));
	g_assert_cmpuint(tree->root->children->len, ==, 1);
	tree_free(tree, count_drop, &drops);
	g_assert_cmpuint(drops, ==, 4);
}

static void a_child_whose_parent_went_moves_to_the_top(void)
{
	struct tree *tree = tree_new();
	struct folder *child;

	update(tree, "a a/b");
	child = tree_by_name(tree, "a/b");
	update(tree, "a/b");
	g_assert_true(tree_by_name(tree, "a/b") == child);
	g_assert_true(child->parent == tree->root);
	g_assert_cmpstr(child->shown, ==, "a%b");
	update(tree, "a a/b");
	g_assert_true(child->parent == tree_by_name(tree, "a"));
	g_assert_cmpstr(child->shown, ==, "b");
	g_assert_cmpuint(tree->root->children->len, ==, 1);
	tree_free(tree, NULL, NULL);
}

static void two_of_one_name_are_told_apart(void)
{
	struct tree *tree = tree_new();
	unsigned drops = 0;

	update_with(tree, same, &drops, "a b c");
	g_assert_cmpuint(tree->root->children->len, ==, 3);
	g_assert_cmpuint(g_hash_table_size(tree->root->named), ==, 3);
	/* The same listing gives the same names. */
	g_assert_cmpstr(tree_by_name(tree, "a")->shown, ==, "same");
	g_assert_true(g_str_has_prefix(tree_by_name(tree, "b")->shown, "same~"));
	g_assert_true(g_str_has_prefix(tree_by_name(tree, "c")->shown, "same~"));
	tree_free(tree, NULL, NULL);
}

static char *twin_of_b(const char *bytes, size_t len, bool is_top)
{
	const char *text = len == 1 && *bytes == 'a' ? "same" : "same~000063";

	return g_strdup(text);
}

/* The suffix itself may be taken by a folder of that very name. */
static void a_name_that_looks_like_the_suffix_collides_with_nobody(void)
{
	static const struct tree_entry entries[] = {
		{ .dir_id = 0x61, .name = "a", .path = "a" },
		{ .dir_id = 0x62, .name = "b", .path = "b" },
		{ .dir_id = 0x63, .name = "c", .path = "a" },
	};
	struct tree *tree = tree_new();

	tree_update(tree, entries, 3, twin_of_b, NULL, NULL);
	g_assert_cmpuint(tree->root->children->len, ==, 3);
	tree_free(tree, NULL, NULL);
}

static char *long_name(const char *bytes, size_t len, bool is_top)
{
	GString *text = g_string_new("y");

	for (unsigned i = 0; i < 120; i++)
		g_string_append(text, "\303\274");
	return g_string_free(text, FALSE);
}

static void a_suffix_cuts_no_character(void)
{
	struct tree *tree = tree_new();
	unsigned drops = 0;
	const char *shown;

	update_with(tree, long_name, &drops, "a b");
	shown = tree_by_name(tree, "b")->shown;
	g_assert_true(g_utf8_validate(shown, -1, NULL));
	g_assert_cmpuint(strlen(shown), ==, 199 + 7);
	tree_free(tree, NULL, NULL);
}

static void depth_has_a_bound(void)
{
	struct tree *tree = tree_new();
	g_autoptr(GString) names = g_string_new("x");
	g_autoptr(GString) name = g_string_new("x");
	GHashTableIter iter;
	gpointer value;

	for (unsigned i = 0; i < 200; i++) {
		g_string_append(name, "/x");
		g_string_append_printf(names, " %s", name->str);
	}
	update(tree, names->str);
	g_hash_table_iter_init(&iter, tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		unsigned depth = 0;

		for (struct folder *up = value; up; up = up->parent)
			depth++;
		g_assert_cmpuint(depth, <=, TREE_DEPTH_MAX + 1);
	}
	tree_free(tree, NULL, NULL);
}

static void a_box_is_found_until_it_is_replaced(void)
{
	struct tree *tree = tree_new();
	struct folder *folder;

	update(tree, "a");
	folder = tree_by_name(tree, "a");
	tree_set_box(tree, folder, mailbox_new(5, 77));
	g_assert_true(tree_by_box(tree, 5) == folder);
	g_assert_cmpuint(folder->uidvalidity, ==, 77);
	tree_set_box(tree, folder, mailbox_new(6, 78));
	g_assert_null(tree_by_box(tree, 5));
	g_assert_true(tree_by_box(tree, 6) == folder);
	tree_set_box(tree, folder, NULL);
	g_assert_null(tree_by_box(tree, 6));
	tree_set_box(tree, folder, mailbox_new(7, 79));
	update(tree, "b");
	g_assert_null(tree_by_box(tree, 7));
	tree_free(tree, NULL, NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/model/tree/" path, fn)
	T("sorted and found", children_are_sorted_and_found);
	T("hidden", a_hidden_folder_is_in_no_directory);
	T("hidden, shown", a_folder_that_is_hidden_or_shown_again_moves);
	T("shown path", the_shown_path_leads_back);
	T("equal update", an_equal_update_changes_nothing);
	T("only the parent rises", only_the_parent_of_a_change_rises);
	T("drops", dropped_folders_are_told_once_each);
	T("NM-7 the parent goes", a_child_whose_parent_went_moves_to_the_top);
	T("NM-4 one name for two", two_of_one_name_are_told_apart);
	T("NM-4 a name like the suffix", a_name_that_looks_like_the_suffix_collides_with_nobody);
	T("NM-4 a suffix cuts no character", a_suffix_cuts_no_character);
	T("depth", depth_has_a_bound);
	T("boxes", a_box_is_found_until_it_is_replaced);
	return g_test_run();
}
