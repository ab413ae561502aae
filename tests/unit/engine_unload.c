/* SPDX-License-Identifier: MIT */
/* Mailboxes that leave memory, and come back. */
#include "engine_world.h"

#include "base/clock.h"

#define MESSAGES 100u
#define BOX_MAX  (1024u + MESSAGES * 40u) /* what one folder of the world counts */

static const char *const names[] = { "a", "b", "c", "d" };

/* Four folders of 100 messages each; two fit. */
static struct world *four_folders(void)
{
	struct world *world = world_new();

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		fake_messages_add(fake_folder_add(world->server, names[i], 10 + (uint32_t)i), 1, MESSAGES,
			100);
	world->loaded_max = 2 * BOX_MAX;
	world_start(world);
	return world;
}

static bool is_loaded(struct world *world, const char *name)
{
	return world_folder(world, name)->box != NULL;
}

static void open_all(struct world *world)
{
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_assert_cmpint(world_open(world, names[i]), ==, WORLD_OK);
		world_settle(world);
	}
}

static void the_least_recently_used_leaves_memory(void)
{
	struct world *world = four_folders();

	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "b"), ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "c"), ==, WORLD_OK);
	world_settle(world);
	g_assert_true(is_loaded(world, "a"));
	g_assert_false(is_loaded(world, "b"));
	g_assert_true(is_loaded(world, "c"));
	world_free(world);
}

static void what_left_comes_back_without_the_server(void)
{
	struct world *world = four_folders();
	unsigned syncs;

	open_all(world);
	g_assert_false(is_loaded(world, "a"));
	syncs = world->server->syncs;
	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	g_assert_cmpuint(mailbox_count(world_folder(world, "a")->box), ==, MESSAGES);
	world_settle(world);
	g_assert_cmpuint(world->server->syncs, ==, syncs);
	g_assert_cmpuint(world->boxes_gone, ==, 0);
	world_free(world);
}

static void its_id_leads_to_it_meanwhile(void)
{
	struct world *world = four_folders();
	struct tree *tree;
	uint32_t id;

	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	id = world_folder(world, "a")->box->id;
	open_all(world);
	tree = engine_tree(world->engine);
	g_assert_null(tree_by_box(tree, id));
	g_assert_true(tree_by_unloaded(tree, id) == world_folder(world, "a"));
	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	g_assert_null(tree_by_unloaded(tree, id));
	g_assert_cmpuint(world_folder(world, "a")->box->id, ==, id);
	world_free(world);
}

static void what_is_in_use_stays(void)
{
	struct world *world = four_folders();

	world->used = "a";
	open_all(world);
	g_assert_true(is_loaded(world, "a"));
	g_assert_false(is_loaded(world, "b"));
	world_free(world);
}

static void the_last_one_stays_however_large(void)
{
	struct world *world = four_folders();

	world->loaded_max = 1;
	world_restart(world);
	open_all(world);
	g_assert_false(is_loaded(world, "c"));
	g_assert_true(is_loaded(world, "d"));
	world_free(world);
}

static void flags_come_back_as_they_were(void)
{
	struct world *world = four_folders();
	const struct message *message;
	int64_t ctime_ns;

	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	fake_message_flag(fake_folder_find(world->server, "a"), 7, MAILFS_FLAG_FLAGGED);
	g_assert_cmpint(world_refresh(world, "a"), ==, WORLD_OK);
	ctime_ns = mailbox_find(world_folder(world, "a")->box, 7)->ctime_ns;
	open_all(world);
	open_all(world); /* the refresh was the last use of it */
	g_assert_false(is_loaded(world, "a"));
	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	message = mailbox_find(world_folder(world, "a")->box, 7);
	g_assert_cmpuint(message->flags, ==, MAILFS_FLAG_FLAGGED);
	g_assert_cmpint(message->ctime_ns, ==, ctime_ns);
	world_free(world);
}

static void a_look_at_the_server_loads_what_has_news_only(void)
{
	struct world *world = four_folders();

	open_all(world);
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	world_settle(world);
	g_assert_false(is_loaded(world, "a"));
	fake_message_add(fake_folder_find(world->server, "a"), MESSAGES + 1, 100);
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	world_settle(world);
	g_assert_true(is_loaded(world, "a"));
	g_assert_cmpuint(mailbox_count(world_folder(world, "a")->box), ==, MESSAGES + 1);
	world_free(world);
}

static void a_folder_that_left_may_be_removed(void)
{
	struct world *world = four_folders();
	uint32_t id;

	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	id = world_folder(world, "a")->box->id;
	open_all(world);
	fake_folder_remove(world->server, "a");
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_null(tree_by_unloaded(engine_tree(world->engine), id));
	world_free(world);
}

/* What is to be changed in one folder keeps no other in memory. */
static void only_what_is_to_be_changed_stays(void)
{
	const struct engine_flag_change flag = { .add = MAILFS_FLAG_FLAGGED };
	struct world *world = four_folders();
	struct answer answer = { 0 };

	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	fake_fault(world->server,
		&(struct fake_fault){ .point = FAKE_STORE, .code = MAILFS_ERROR_TRY_LATER });
	engine_change_flags(world->engine, world_folder(world, "a")->box->id, 7, &flag, answer_take,
		&answer);
	world_until(answer_is_there, &answer);
	for (size_t i = 1; i < G_N_ELEMENTS(names); i++) {
		g_assert_cmpint(world_open(world, names[i]), ==, WORLD_OK);
		world_settle(world);
	}
	g_assert_true(is_loaded(world, "a"));
	g_assert_false(is_loaded(world, "b"));
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(name, fn) g_test_add_func("/engine/unload/" name, fn)
	T("least recently used", the_least_recently_used_leaves_memory);
	T("back without the server", what_left_comes_back_without_the_server);
	T("the id leads to it", its_id_leads_to_it_meanwhile);
	T("in use", what_is_in_use_stays);
	T("the last one", the_last_one_stays_however_large);
	T("flags", flags_come_back_as_they_were);
	T("refresh", a_look_at_the_server_loads_what_has_news_only);
	T("changes", only_what_is_to_be_changed_stays);
	T("removed meanwhile", a_folder_that_left_may_be_removed);
	return g_test_run();
}
