/* SPDX-License-Identifier: MIT */
/* Fetching ahead of who walks through a folder: few requests, right bytes, bounded waste. */
#include <glib.h>

#include "engine_world.h"

#define MESSAGES 600u
#define LATER    900101u /* UIDs behind those that earn trust */

static struct world *with_messages(void)
{
	struct world *world = world_new();

	world->want_prefetch = true;
	fake_messages_add(world->inbox, 1, MESSAGES, 3000);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static struct engine_status status_of(struct world *world)
{
	struct engine_status status;

	engine_get_status(world->engine, &status);
	return status;
}

static void a_walk_takes_few_requests_and_gets_the_right_bytes(void)
{
	struct world *world = with_messages();

	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, <, 40);
	g_assert_cmpuint(status_of(world).bodies_fetched, ==, MESSAGES);
	g_assert_cmpuint(status_of(world).ahead_fetched, ==, status_of(world).ahead_used);
	world_free(world);
}

static void walking_down_works_as_well(void)
{
	struct world *world = with_messages();

	for (uint32_t uid = MESSAGES; uid >= 1; uid--)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, <, 40);
	world_free(world);
}

static void reading_here_and_there_fetches_nothing_ahead(void)
{
	struct world *world = with_messages();

	for (uint32_t i = 0; i < 40; i++)
		g_assert_cmpint(world_cat(world, 2 + i * 211 % (MESSAGES - 2)), ==, WORLD_OK);
	g_assert_cmpuint(status_of(world).ahead_fetched, ==, 0);
	world_free(world);
}

static void a_walk_that_stops_wastes_no_more_than_its_window(void)
{
	struct world *world = with_messages();

	for (uint32_t uid = 1; uid <= 3; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	world_settle(world);
	g_assert_cmpuint(status_of(world).ahead_fetched, >, 0);
	g_assert_cmpuint(world->server->bytes_sent, <, 1200 * 1024);
	world_free(world);
}

static void what_is_cached_is_not_fetched_ahead_again(void)
{
	struct world *world = with_messages();
	unsigned fetches;

	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	world_settle(world);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	fetches = world->server->fetches;
	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, fetches);
	world_free(world);
}

/* What the batch does not bring is asked for alone. */
static void a_batch_that_dies_costs_nobody_a_message(void)
{
	for (unsigned skip = 0; skip < 30; skip += 3) {
		struct world *world = with_messages();

		fake_fault(world->server, &(struct fake_fault){
			.point = FAKE_FETCH_MID,
			.skip = 4 + skip,
			.times = 1,
			.code = MAILFS_ERROR_CONNECTION_LOST,
			.is_death = true,
		});
		for (uint32_t uid = 1; uid <= 200; uid++)
			g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
		world_free(world);
	}
}

static void a_message_that_is_gone_fails_alone(void)
{
	struct world *world = with_messages();

	fake_message_find(world->inbox, 50)->is_nil = true;
	fake_message_find(world->inbox, 60)->is_absent = true;
	for (uint32_t uid = 1; uid <= 100; uid++) {
		int code = world_cat(world, uid);

		if (uid == 50 || uid == 60)
			g_assert_cmpint(code, !=, WORLD_OK);
		else
			g_assert_cmpint(code, ==, WORLD_OK);
	}
	world_free(world);
}

static void stopping_in_the_middle_of_a_batch_leaves_nothing_behind(void)
{
	for (unsigned turns = 0; turns < 40; turns++) {
		struct world *world = with_messages();

		for (uint32_t uid = 1; uid <= 3; uid++)
			g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
		world_turns(turns);
		world_free(world);
	}
}

static void a_server_that_lies_about_sizes_is_found_out_ahead_too(void)
{
	struct world *world = with_messages();

	world_earn_trust(world);
	fake_messages_add(world->inbox, LATER, LATER + 99, 5000);
	fake_message_find(world->inbox, LATER + 20)->claimed = 4000;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	for (uint32_t uid = LATER; uid < LATER + 20; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	world_settle(world);
	g_assert_true(store_get_trust(world->store).is_liar);
	g_assert_cmpuint(world_message(world, LATER + 20)->size, ==, 5000);
	g_assert_cmpint(world_cat(world, LATER + 20), ==, WORLD_OK);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/engine/prefetch/" path, fn)
	T("few requests", a_walk_takes_few_requests_and_gets_the_right_bytes);
	T("down", walking_down_works_as_well);
	T("at random", reading_here_and_there_fetches_nothing_ahead);
	T("bounded waste", a_walk_that_stops_wastes_no_more_than_its_window);
	T("cached", what_is_cached_is_not_fetched_ahead_again);
	T("a batch dies", a_batch_that_dies_costs_nobody_a_message);
	T("SZ-2 one is gone", a_message_that_is_gone_fails_alone);
	T("stop", stopping_in_the_middle_of_a_batch_leaves_nothing_behind);
	T("SZ-1 a lie", a_server_that_lies_about_sizes_is_found_out_ahead_too);
	return g_test_run();
}
