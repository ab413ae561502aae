/* SPDX-License-Identifier: MIT */
/* Everything into the cache: all of it, the newest first, and nobody loses anything by it. */
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "engine_world.h"

static struct engine_status status_of(struct world *world)
{
	struct engine_status status;

	engine_get_status(world->engine, &status);
	return status;
}

static struct world *with_messages(uint32_t count, size_t size)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, count, size);
	return world;
}

static bool is_over(void *user)
{
	const char *state = status_of(user).fill.state;

	return strcmp(state, "done") == 0 || strcmp(state, "full") == 0;
}

static bool has_begun(void *user)
{
	return status_of(user).fill.bytes > 0;
}

static bool is_cached(struct world *world, uint32_t uid)
{
	struct body *body = body_open(world->store, world_folder(world, "INBOX")->box->id, uid);
	bool is_complete;

	while (!body_is_ready(body))
		g_main_context_iteration(NULL, TRUE);
	is_complete = body_is_complete(body);
	body_unref(body);
	return is_complete;
}

static void everything_comes_and_is_counted(void)
{
	struct world *world = with_messages(700, 3000);
	struct fake_folder *other = fake_folder_add(world->server, "Other", 3);
	struct engine_status status;

	fake_messages_add(other, 1, 40, 5000);
	world_start(world);
	g_assert_cmpstr(status_of(world).fill.state, ==, "off");
	engine_fill(world->engine, NULL, false);
	world_until(is_over, world);
	status = status_of(world);
	g_assert_cmpstr(status.fill.state, ==, "done");
	g_assert_cmpuint(status.fill.total, ==, 740);
	g_assert_cmpuint(status.fill.done, ==, 740);
	g_assert_cmpuint(status.bodies_fetched, ==, 740);
	g_assert_cmpuint(status.fill.bytes, ==, status.body_bytes_fetched);
	g_assert_cmpuint(status.ahead_fetched, ==, 0);
	g_assert_cmpuint(world->server->fetches, <, 30);
	world_free(world);
}

static void the_newest_come_first(void)
{
	struct world *world = with_messages(2000, 3000);

	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	engine_fill(world->engine, NULL, false);
	world_until(has_begun, world);
	g_assert_true(is_cached(world, 2000));
	g_assert_false(is_cached(world, 1));
	world_until(is_over, world);
	g_assert_true(is_cached(world, 1));
	world_free(world);
}

static void one_folder_and_what_is_below_it_can_be_asked_for(void)
{
	struct world *world = with_messages(50, 3000);

	fake_messages_add(fake_folder_add(world->server, "Other", 3), 1, 40, 5000);
	fake_messages_add(fake_folder_add(world->server, "Other/Below", 4), 1, 7, 5000);
	world_start(world);
	engine_fill(world->engine, world_folder(world, "Other"), false);
	world_until(is_over, world);
	g_assert_cmpuint(status_of(world).bodies_fetched, ==, 47);
	g_assert_cmpuint(status_of(world).fill.done, ==, 47);
	world_free(world);
}

static void what_is_here_is_not_fetched_again(void)
{
	struct world *world = with_messages(500, 3000);
	unsigned fetches;

	world_start(world);
	engine_fill(world->engine, NULL, false);
	world_until(has_begun, world);
	world_restart(world);
	engine_fill(world->engine, NULL, false);
	world_until(is_over, world);
	g_assert_cmpuint(status_of(world).bodies_fetched, <, 500);
	world_restart(world);
	fetches = world->server->fetches;
	engine_fill(world->engine, NULL, false);
	world_until(is_over, world);
	g_assert_cmpuint(status_of(world).fill.done, ==, 500);
	g_assert_cmpuint(status_of(world).fill.bytes, ==, 0);
	g_assert_cmpuint(world->server->fetches, ==, fetches);
	world_free(world);
}

static bool is_written(void *user)
{
	return body_pending_bytes(((struct world *)user)->store) == 0;
}

static void a_full_cache_ends_it_and_nothing_is_evicted(void)
{
	struct world *world = with_messages(120, 600 * 1024);
	struct engine_status status;

	world->cache_max = 32 << 20;
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	engine_fill(world->engine, NULL, false);
	world_until(is_over, world);
	world_until(is_written, world);
	world_settle(world);
	status = status_of(world);
	g_assert_cmpstr(status.fill.state, ==, "full");
	g_assert_cmpuint(status.cache.evicted, ==, 0);
	g_assert_cmpuint(status.cache.body_bytes, <, 32 << 20);
	g_assert_cmpuint(status.cache.body_bytes, >, 16 << 20);
	g_assert_true(is_cached(world, 1));
	g_assert_true(is_cached(world, 120));
	world_free(world);
}

static void it_waits_while_somebody_reads(void)
{
	struct world *world = with_messages(100, 3000);

	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 7), ==, WORLD_OK);
	clock_fake(clock_monotonic_us()); /* it stands still: it was read just now */
	engine_fill(world->engine, NULL, false);
	world_turns(200);
	g_assert_cmpstr(status_of(world).fill.state, ==, "paused");
	g_assert_cmpuint(status_of(world).fill.bytes, ==, 0);
	clock_fake(clock_monotonic_us() + 2 * G_USEC_PER_SEC);
	world_until(is_over, world);
	g_assert_cmpuint(status_of(world).bodies_fetched, ==, 100);
	world_free(world);
}

static void what_fails_is_tried_again(void)
{
	struct world *world = with_messages(300, 3000);

	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	fake_fault(world->server, &(struct fake_fault){
		.point = FAKE_FETCH_MID,
		.skip = 20,
		.times = 1,
		.code = MAILFS_ERROR_CONNECTION_LOST,
		.is_death = true,
	});
	engine_fill(world->engine, NULL, false);
	world_until(is_over, world);
	g_assert_cmpuint(status_of(world).fill.done, ==, 300);
	for (uint32_t uid = 1; uid <= 300; uid++)
		g_assert_true(is_cached(world, uid));
	world_free(world);
}

static void one_that_cannot_be_had_does_not_stop_it(void)
{
	struct world *world = with_messages(300, 3000);

	fake_message_find(world->inbox, 150)->is_nil = true;
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	engine_fill(world->engine, NULL, false);
	world_until(is_over, world);
	g_assert_true(is_cached(world, 1));
	g_assert_true(is_cached(world, 300));
	g_assert_false(is_cached(world, 150));
	world_free(world);
}

static void it_can_end_at_any_time(void)
{
	for (unsigned turns = 0; turns < 60; turns++) {
		struct world *world = with_messages(600, 3000);

		world_start(world);
		engine_fill(world->engine, NULL, true);
		world_turns(turns);
		world_free(world);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/engine/fill/" path, fn)
	T("everything", everything_comes_and_is_counted);
	T("newest first", the_newest_come_first);
	T("one folder", one_folder_and_what_is_below_it_can_be_asked_for);
	T("resumed", what_is_here_is_not_fetched_again);
	T("full", a_full_cache_ends_it_and_nothing_is_evicted);
	T("waits", it_waits_while_somebody_reads);
	T("tried again", what_fails_is_tried_again);
	T("SZ-3 one is missing", one_that_cannot_be_had_does_not_stop_it);
	T("stop", it_can_end_at_any_time);
	return g_test_run();
}
