/* SPDX-License-Identifier: MIT */
/* The folders: from the server, from the index, and from servers that lie. */
#include "engine_world.h"

#include <string.h>

#include "engine/internal.h"
#include "store/store_impl.h"

static struct world *with_folders(const char *const *names)
{
	struct world *world = world_new();

	for (; *names; names++)
		fake_folder_add(world->server, *names, 1);
	world_start(world);
	return world;
}

#define WITH(...) with_folders((const char *const[]){ __VA_ARGS__, NULL })

static struct folder *find(struct world *world, const char *path)
{
	return tree_by_shown_path(engine_tree(world->engine), path);
}

static void folders_become_directories(void)
{
	struct world *world = WITH("Work", "Work/2023", "Work/2024");

	g_assert_cmpint(world->started_code, ==, WORLD_OK);
	g_assert_nonnull(find(world, "INBOX"));
	g_assert_nonnull(find(world, "Work/2024"));
	g_assert_cmpuint(engine_tree(world->engine)->root->children->len, ==, 2);
	g_assert_cmpuint(find(world, "Work")->children->len, ==, 2);
	world_free(world);
}

static void parents_that_are_not_listed_are_made_up(void)
{
	struct world *world = WITH("a/b/c");

	g_assert_nonnull(find(world, "a/b/c"));
	g_assert_cmpuint(find(world, "a")->flags & MAILFS_FOLDER_NOSELECT, !=, 0);
	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->syncs, ==, 0);
	world_free(world);
}

static void a_folder_that_is_listed_twice_is_shown_once(void)
{
	struct world *world = WITH("a", "a", "INBOX");

	g_assert_cmpuint(engine_tree(world->engine)->root->children->len, ==, 2);
	world_free(world);
}

static void names_within_names_make_no_cycles(void)
{
	struct world *world = WITH("a", "a/a", "a/a/a", "/", "//", "/a", "a/", "a//a");
	unsigned seen = 0;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, engine_tree(world->engine)->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		unsigned depth = 0;

		for (struct folder *up = value; up; up = up->parent)
			g_assert_cmpuint(++depth, <, 10);
		seen++;
	}
	g_assert_cmpuint(seen, >=, 9);
	g_assert_nonnull(find(world, "a/a/a"));
	world_free(world);
}

static void a_folder_goes_and_another_comes(void)
{
	struct world *world = WITH("old");
	struct folder *inbox = find(world, "INBOX");
	struct folder *root = engine_tree(world->engine)->root;
	uint32_t generation = root->generation;

	fake_folder_remove(world->server, "old");
	fake_folder_add(world->server, "new", 4);
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_null(find(world, "old"));
	g_assert_nonnull(find(world, "new"));
	g_assert_true(find(world, "INBOX") == inbox);
	g_assert_cmpuint(root->generation, >, generation);
	g_assert_cmpuint(world->listings, ==, 1);
	g_assert_cmpint(root->listing_ns, >, 1000000000000000000);
	world_free(world);
}

static void an_equal_listing_tells_nothing(void)
{
	struct world *world = WITH("a", "a/b");

	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_cmpuint(world->listings, ==, 0);
	world_free(world);
}

static void a_failed_listing_keeps_the_tree(void)
{
	static const enum fake_point points[] = { FAKE_LIST, FAKE_LIST_MID };

	for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
		struct world *world = WITH("a", "b", "c", "d");

		fake_fail(world->server, points[i], MAILFS_ERROR_PROTOCOL);
		g_assert_cmpint(world_refresh(world, NULL), ==, MAILFS_ERROR_PROTOCOL);
		g_assert_nonnull(find(world, "d"));
		g_assert_cmpuint(engine_reasons(world->engine)->len, >, 0);
		world_free(world);
	}
}

/* The one that is under way may have been made before what they want to see. */
static void who_comes_late_gets_a_list_of_their_own(void)
{
	struct world *world = WITH("a");
	struct answer first = { 0 }, second = { 0 }, third = { 0 };
	unsigned before = world->server->lists;

	world->server->delay = 30;
	listing_refresh(world->engine->listing, answer_take, &first);
	world_turns(10);
	g_assert_cmpuint(first.count, ==, 0);
	listing_refresh(world->engine->listing, answer_take, &second);
	listing_refresh(world->engine->listing, answer_take, &third);
	world_until(answer_is_there, &first);
	g_assert_cmpuint(world->server->lists, ==, before + 1);
	g_assert_cmpuint(second.count, ==, 0);
	fake_folder_add(world->server, "new", 1);
	world_until(answer_is_there, &second);
	g_assert_cmpuint(third.count, ==, 1);
	g_assert_cmpuint(world->server->lists, ==, before + 2);
	g_assert_nonnull(find(world, "new"));
	world_free(world);
}

static void an_empty_listing_keeps_the_tree(void)
{
	struct world *world = WITH("a");

	world->server->is_empty_list = true;
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_nonnull(find(world, "a"));
	world_restart(world);
	g_assert_nonnull(find(world, "a"));
	world_free(world);
}

static void a_listing_that_dies_is_asked_for_again(void)
{
	struct world *world = WITH("a", "b", "c", "d");
	unsigned lists = world->server->lists;

	fake_die(world->server, FAKE_LIST_MID, MAILFS_ERROR_CONNECTION_LOST);
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_cmpuint(world->server->lists, >=, lists + 2);
	g_assert_nonnull(find(world, "d"));
	world_free(world);
}

static void the_loss_of_most_folders_is_confirmed(void)
{
	struct world *world = WITH("a", "b", "c", "d");
	unsigned lists = world->server->lists;

	for (const char *name = "abcd"; *name; name++)
		fake_folder_remove(world->server, (const char[]){ *name, '\0' });
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_cmpuint(world->server->lists, ==, lists + 2);
	g_assert_null(find(world, "a"));
	g_assert_nonnull(find(world, "INBOX"));
	world_free(world);
}

static void the_tree_comes_from_the_index_without_the_server(void)
{
	struct world *world = WITH("a/b", "c");
	uint32_t dir_id = find(world, "a/b")->dir_id;

	world_settle(world);
	world_stop(world);
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpuint(find(world, "a/b")->dir_id, ==, dir_id);
	world_free(world);
}

static void deep_names_end_at_the_top(void)
{
	struct world *world = world_new();
	g_autoptr(GString) name = g_string_new("x");

	for (unsigned i = 0; i < 10000; i++)
		g_string_append(name, "/x");
	fake_folder_add(world->server, name->str, 1);
	world_start(world);
	g_assert_cmpint(world->started_code, ==, WORLD_OK);
	g_assert_cmpuint(g_hash_table_size(engine_tree(world->engine)->by_name), ==, 2);
	world_free(world);
}

/* No clock: what is written is counted, and the time limit of the test is what fails when the rest
 * is quadratic. */
static void many_folders_are_written_once(void)
{
	struct world *world = world_new();

	for (unsigned i = 0; i < 20000; i++) {
		g_autofree char *name = g_strdup_printf("d%u/s%u/f%u", i % 100, i % 1000, i);

		fake_folder_add(world->server, name, 1);
	}
	world_start(world);
	g_assert_cmpint(world->started_code, ==, WORLD_OK);
	g_assert_nonnull(find(world, "d7/s107/f5107"));
	/* With INBOX, 100 parents, and 1,000 below them. */
	g_assert_cmpuint(world->store->folder_rows, ==, 21101);
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_cmpuint(world->listings, ==, 0);
	g_assert_cmpint(world_open(world, "d7/s107/f5107"), ==, WORLD_OK);
	g_assert_cmpuint(world->store->folder_rows, ==, 21102);
	world_free(world);
}

static void count(void *user, const GError *error)
{
	++*(unsigned *)user;
}

static void stopping_at_any_turn_answers_once(void)
{
	for (unsigned turns = 0; turns < 25; turns++) {
		struct world *world = WITH("a", "b/c");
		unsigned answers = 0;

		engine_refresh(world->engine, NULL, count, &answers);
		engine_refresh(world->engine, NULL, count, &answers);
		world_turns(turns);
		world_stop(world);
		g_assert_cmpuint(answers, ==, 2);
		world_free(world);
	}
}

static void a_cancelled_refresh_is_not_answered(void)
{
	for (unsigned turns = 0; turns < 10; turns++) {
		struct world *world = WITH("a");
		unsigned answers = 0;
		engine_ticket ticket = engine_refresh(world->engine, NULL, count, &answers);
		unsigned before;

		world_turns(turns);
		before = answers;
		engine_cancel(world->engine, ticket);
		world_settle(world);
		g_assert_cmpuint(answers, ==, before);
		world_free(world);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/engine/listing/" path, fn)
	T("folders become directories", folders_become_directories);
	T("NM-7 parents are made up", parents_that_are_not_listed_are_made_up);
	T("duplicates", a_folder_that_is_listed_twice_is_shown_once);
	T("no cycles", names_within_names_make_no_cycles);
	T("come and go", a_folder_goes_and_another_comes);
	T("nothing new", an_equal_listing_tells_nothing);
	T("failed", a_failed_listing_keeps_the_tree);
	T("late", who_comes_late_gets_a_list_of_their_own);
	T("empty", an_empty_listing_keeps_the_tree);
	T("dies", a_listing_that_dies_is_asked_for_again);
	T("most of it lost", the_loss_of_most_folders_is_confirmed);
	T("from the index", the_tree_comes_from_the_index_without_the_server);
	T("deep", deep_names_end_at_the_top);
	T("20,000 folders", many_folders_are_written_once);
	T("stop at any turn", stopping_at_any_turn_answers_once);
	T("cancel", a_cancelled_refresh_is_not_answered);
	return g_test_run();
}
