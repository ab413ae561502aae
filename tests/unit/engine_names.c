/* SPDX-License-Identifier: MIT */
/* Names that people give to messages. */
#include "engine_world.h"

#include "engine/internal.h"

static struct world *opened(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 5, 100);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static uint32_t box(struct world *world)
{
	return world_folder(world, "INBOX")->box->id;
}

static int give(struct world *world, uint32_t uid, const char *name)
{
	struct answer answer = { 0 };

	engine_give_name(world->engine, box(world), uid, name, answer_take, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpuint(answer.count, ==, 1);
	return answer.code;
}

static void a_name_is_found_both_ways(void)
{
	struct world *world = opened();
	unsigned listings = world->listings;

	g_assert_false(engine_has_given(world->engine, box(world)));
	g_assert_cmpint(give(world, 2, "mine.eml"), ==, WORLD_OK);
	g_assert_true(engine_has_given(world->engine, box(world)));
	g_assert_cmpstr(engine_given_name(world->engine, box(world), 2), ==, "mine.eml");
	g_assert_cmpuint(engine_given_uid(world->engine, box(world), "mine.eml"), ==, 2);
	g_assert_null(engine_given_name(world->engine, box(world), 3));
	g_assert_cmpuint(world->listings, >, listings);
	world_free(world);
}

static void another_name_takes_its_place(void)
{
	struct world *world = opened();

	g_assert_cmpint(give(world, 2, "a"), ==, WORLD_OK);
	g_assert_cmpint(give(world, 2, "b"), ==, WORLD_OK);
	g_assert_cmpuint(engine_given_uid(world->engine, box(world), "a"), ==, 0);
	g_assert_cmpuint(engine_given_uid(world->engine, box(world), "b"), ==, 2);
	g_assert_cmpint(give(world, 2, NULL), ==, WORLD_OK);
	g_assert_false(engine_has_given(world->engine, box(world)));
	world_free(world);
}

static void a_name_has_one_message(void)
{
	struct world *world = opened();

	g_assert_cmpint(give(world, 2, "a"), ==, WORLD_OK);
	g_assert_cmpint(give(world, 3, "a"), ==, MAILFS_ERROR_EXISTS);
	g_assert_cmpint(give(world, 2, "a"), ==, WORLD_OK);
	world_free(world);
}

static void what_is_no_name_is_invalid(void)
{
	struct world *world = opened();
	g_autofree char *longer = g_strnfill(256, 'a');

	g_assert_cmpint(give(world, 2, ""), ==, MAILFS_ERROR_INVALID);
	g_assert_cmpint(give(world, 2, ".."), ==, MAILFS_ERROR_INVALID);
	g_assert_cmpint(give(world, 2, "a/b"), ==, MAILFS_ERROR_INVALID);
	g_assert_cmpint(give(world, 2, longer), ==, MAILFS_ERROR_INVALID);
	g_assert_cmpint(give(world, 77, "a"), ==, MAILFS_ERROR_GONE);
	world_free(world);
}

static void names_outlive_the_process(void)
{
	for (unsigned crash = 0; crash < 2; crash++) {
		struct world *world = opened();

		g_assert_cmpint(give(world, 2, "a"), ==, WORLD_OK);
		g_assert_cmpint(give(world, 3, "b"), ==, WORLD_OK);
		g_assert_cmpint(give(world, 3, NULL), ==, WORLD_OK);
		(crash ? world_crash : world_stop)(world);
		world_start(world);
		g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
		g_assert_cmpuint(engine_given_uid(world->engine, box(world), "a"), ==, 2);
		if (!crash)
			g_assert_null(engine_given_name(world->engine, box(world), 3));
		world_free(world);
	}
}

/* A kill came before the index heard of the box: the journal has the name. */
static void a_name_is_known_without_the_index(void)
{
	struct world *world = opened();
	const struct folder *inbox;

	g_assert_cmpint(give(world, 2, "a"), ==, WORLD_OK);
	world_stop(world);
	world_forget_index(world);
	world_start(world);
	inbox = world_folder(world, "INBOX");
	g_assert_cmpuint(inbox->box_id, ==, 0);
	g_assert_true(engine_may_be_given(world->engine, inbox, "a"));
	g_assert_false(engine_may_be_given(world->engine, inbox, "b"));
	world_free(world);
}

static void a_name_goes_with_its_message(void)
{
	struct world *world = opened();

	g_assert_cmpint(give(world, 2, "a"), ==, WORLD_OK);
	fake_message_remove(world->inbox, 2);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(engine_given_uid(world->engine, box(world), "a"), ==, 0);
	g_assert_cmpint(give(world, 3, "a"), ==, WORLD_OK);
	world_free(world);
}

static void a_new_uidvalidity_has_no_names(void) /* ID-1 */
{
	for (unsigned restart = 0; restart < 2; restart++) {
		struct world *world = opened();

		g_assert_cmpint(give(world, 2, "a"), ==, WORLD_OK);
		if (restart)
			world_stop(world);
		fake_folder_clear(world->inbox, 8);
		fake_messages_add(world->inbox, 1, 3, 100);
		if (restart) {
			world_start(world);
			world_open(world, "INBOX");
		}
		g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
		g_assert_false(engine_has_given(world->engine, box(world)));
		world_free(world);
	}
}

static void a_read_only_mount_gives_none(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 5, 100);
	world->is_read_only = true;
	world_start(world);
	world_open(world, "INBOX");
	g_assert_cmpint(give(world, 2, "a"), ==, MAILFS_ERROR_READ_ONLY);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, name) g_test_add_func("/engine/names/" path, name)
	ADD("both ways", a_name_is_found_both_ways);
	ADD("without the index", a_name_is_known_without_the_index);
	ADD("another", another_name_takes_its_place);
	ADD("one message", a_name_has_one_message);
	ADD("invalid", what_is_no_name_is_invalid);
	ADD("restart", names_outlive_the_process);
	ADD("gone", a_name_goes_with_its_message);
	ADD("ID-1 UIDVALIDITY", a_new_uidvalidity_has_no_names);
	ADD("read-only", a_read_only_mount_gives_none);
	return g_test_run();
}
