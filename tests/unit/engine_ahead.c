/* SPDX-License-Identifier: MIT */
/* Fetching ahead of a walk: what it costs, what it leaves behind when it fails. */
#include "engine_world.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

static struct world *with_messages(uint32_t count, size_t size)
{
	struct world *world = world_new();

	world->want_prefetch = true;
	fake_messages_add(world->inbox, 1, count, size);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

/* Two are read one after another; the third read makes it a walk. */
static void walk_two(struct world *world)
{
	g_assert_cmpint(world_cat(world, 2), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 3), ==, WORLD_OK);
	world_settle(world);
}

static uint64_t bytes_here(struct world *world, uint32_t uid)
{
	struct body *body =
		engine_hold(world->engine, world_folder(world, "INBOX")->box->id, uid);
	uint64_t bytes;

	world_settle(world);
	g_assert_true(body_is_ready(body));
	bytes = body_covered_until(body, 0);
	engine_release(world->engine, body);
	return bytes;
}

static void a_walk_is_fetched_ahead(void)
{
	struct world *world = with_messages(40, 2 * KIB);

	walk_two(world);
	for (uint32_t uid = 4; uid <= 40; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, <, 10);
	world_free(world);
}

/* Cut in the middle, a large body of a batch has bytes on the disk already: no OK ever came for
 * them, so nobody may read them (SZ-6). */
static void a_batch_that_is_cut_leaves_no_half_body(void)
{
	struct world *world = with_messages(40, 6 * MIB);
	struct reading *reading;
	uint64_t before;

	walk_two(world);
	before = world->server->bytes_sent;
	reading = world_read_begin(world, 4, 0, 10);
	/* The fourth is whole, the fifth is on its way. */
	while (world->server->bytes_sent < before + 11 * MIB)
		world_turns(1);
	world->server->is_down = true;
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	g_assert_cmpuint(reading->answers, ==, 1);
	for (uint32_t uid = 5; uid <= 7; uid++) {
		uint64_t here = bytes_here(world, uid);

		g_assert_true(here == 0 || here == 6 * MIB);
	}
	reading_free(reading);
	world_free(world);
}

/* All are in the cache, and none of them was looked at in this process: the index is asked. */
static struct world *with_cached(uint32_t count, size_t size)
{
	struct world *world = with_messages(count, size);

	for (uint32_t uid = 1; uid <= count; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	world_settle(world);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static void freeing_at_any_turn_ends_batches(gconstpointer is_cached)
{
	for (unsigned turns = 0; turns < 30; turns++) {
		struct world *world = is_cached ? with_cached(40, 20 * KIB) : with_messages(40, 20 * KIB);
		struct reading *reading;

		walk_two(world);
		reading = world_read_begin(world, 4, 0, 10);
		world_turns(turns);
		engine_free(world->engine);
		world->engine = NULL;
		world_settle(world);
		reading_free(reading);
		world_free(world);
	}
}

static void stopping_at_any_turn_ends_batches(void)
{
	for (unsigned turns = 0; turns < 30; turns++) {
		struct world *world = with_messages(40, 20 * KIB);
		struct reading *reading, *next;

		walk_two(world);
		reading = world_read_begin(world, 4, 0, 10);
		next = world_read_begin(world, 6, 0, 10); /* of the batch */
		world_turns(turns);
		world_stop(world);
		g_assert_cmpuint(reading->answers, ==, 1);
		g_assert_cmpuint(next->answers, ==, 1);
		reading_free(reading);
		reading_free(next);
		world_free(world);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/engine/ahead/" path, fn)
	T("a walk is fetched ahead", a_walk_is_fetched_ahead);
	T("SZ-6 a batch that is cut leaves no half body", a_batch_that_is_cut_leaves_no_half_body);
	g_test_add_data_func("/engine/ahead/freeing at any turn ends batches", NULL,
		freeing_at_any_turn_ends_batches);
	g_test_add_data_func("/engine/ahead/freeing at any turn ends batches that ask the index", "",
		freeing_at_any_turn_ends_batches);
	T("stopping at any turn ends batches", stopping_at_any_turn_ends_batches);
	return g_test_run();
}
