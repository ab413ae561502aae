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

	for (uint32_t uid = 1; uid <= 3; uid++) {
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
		world_settle(world);
	}
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

/* The walk was at a position that the shorter folder has no more. */
static void a_folder_that_shrinks_under_a_walk_down_is_walked_on(void)
{
	struct world *world = with_messages();

	for (uint32_t uid = MESSAGES; uid >= MESSAGES - 40; uid--)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	for (uint32_t uid = 1; uid <= 50; uid++)
		fake_message_remove(world->inbox, uid);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	for (uint32_t uid = MESSAGES - 41; uid > 50; uid--)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
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

/* As a reader does who has what came in a cache of its own, and is seen to open each message. */
static unsigned walk_with_opens(struct world *world)
{
	unsigned asked = 0;

	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		GBytes *kept = g_hash_table_lookup(world->kept, GUINT_TO_POINTER(uid));

		engine_note_open(world->engine, world_folder(world, "INBOX")->box->id, uid);
		world_turns(3);
		if (kept) {
			g_assert_true(g_bytes_equal(kept, fake_message_find(world->inbox, uid)->body));
			continue;
		}
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
		asked++;
	}
	return asked;
}

static void what_came_ahead_is_told_of_and_opens_lead_on(void)
{
	struct world *world = with_messages();

	world->keeps_bytes = true;
	g_assert_cmpuint(walk_with_opens(world), <, MESSAGES);
	world_settle(world);
	g_assert_cmpuint(g_hash_table_size(world->kept), >, MESSAGES / 4);
	g_assert_cmpuint(world->server->fetches, <, 40);
	g_assert_cmpuint(status_of(world).bodies_fetched, ==, MESSAGES);
	g_assert_cmpuint(status_of(world).ahead_fetched, ==, status_of(world).ahead_used);
	world_free(world);
}

/* Nobody sees what is opened: the eighth messages, which are asked for, tell of those before. */
static void a_walk_that_is_seen_in_part_goes_on(void)
{
	struct world *world = with_messages();
	unsigned asked = 0;

	world->keeps_bytes = true;
	world->leaves_out = 8;
	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		world_turns(3);
		if (g_hash_table_contains(world->kept, GUINT_TO_POINTER(uid)))
			continue;
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
		asked++;
	}
	world_settle(world);
	g_assert_cmpuint(asked, <, MESSAGES);
	g_assert_cmpuint(world->server->fetches, <, 40);
	g_assert_cmpuint(status_of(world).bodies_fetched, ==, MESSAGES);
	/* All but those behind the last one that was asked for. */
	g_assert_cmpuint(status_of(world).ahead_used + 8, >=, status_of(world).ahead_fetched);
	world_free(world);
}

static void one_that_is_larger_than_claimed_is_not_told_of(void)
{
	struct world *world = with_messages();

	world_earn_trust(world);
	world->keeps_bytes = true;
	fake_messages_add(world->inbox, LATER, LATER + 999, 5000);
	fake_message_find(world->inbox, LATER + 900)->claimed = 4000;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	for (uint32_t uid = LATER; uid < LATER + 900; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	world_settle(world);
	g_assert_cmpuint(g_hash_table_size(world->kept), >, 0);
	g_assert_false(g_hash_table_contains(world->kept, GUINT_TO_POINTER(LATER + 900)));
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
	T("AS-2 a shorter folder", a_folder_that_shrinks_under_a_walk_down_is_walked_on);
	T("stop", stopping_in_the_middle_of_a_batch_leaves_nothing_behind);
	T("SZ-1 a lie", a_server_that_lies_about_sizes_is_found_out_ahead_too);
	T("opens lead on", what_came_ahead_is_told_of_and_opens_lead_on);
	T("seen in part", a_walk_that_is_seen_in_part_goes_on);
	T("SZ-1 not told of", one_that_is_larger_than_claimed_is_not_told_of);
	return g_test_run();
}
