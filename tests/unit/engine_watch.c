/* SPDX-License-Identifier: MIT */
/* News without being asked: who is listened to, what comes of an event, rounds of asking. */
#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"
#include "engine/pool_impl.h"
#include "engine_world.h"

static struct world *prepared(void)
{
	struct world *world = world_new();

	world->inbox->flags = MAILFS_FOLDER_INBOX;
	fake_messages_add(world->inbox, 1, 5, 100);
	fake_messages_add(fake_folder_add(world->server, "a", 8), 1, 3, 100);
	fake_messages_add(fake_folder_add(world->server, "b", 9), 1, 3, 100);
	return world;
}

static void begin(struct world *world)
{
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
}

static bool inbox_idles(void *user)
{
	return fake_is_idling(((struct world *)user)->server, "INBOX");
}

static bool account_is_watched(void *user)
{
	return fake_is_idling(((struct world *)user)->server, NULL);
}

static bool is_watched_text(struct world *world, const char *text)
{
	struct engine_status status;

	engine_get_status(world->engine, &status);
	return status.watch && strstr(status.watch, text);
}

static bool has_six(void *user)
{
	return world_count(user) == 6;
}

static struct world *idling(void)
{
	struct world *world = prepared();

	world->server->can_idle = true;
	begin(world);
	world_until(inbox_idles, world);
	return world;
}

/* ---- IDLE ------------------------------------------------------------------------------------ */

static void what_idle_tells_is_shown(void)
{
	struct world *world = idling();

	fake_message_add(world->inbox, 6, 10);
	fake_notice(world->server, "INBOX");
	world_until(has_six, world);
	g_assert_true(is_watched_text(world, "idle: INBOX"));
	world_free(world);
}

static void idle_begins_again_after_a_job(void)
{
	struct world *world = idling();
	unsigned watches = world->server->watches;

	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_false(inbox_idles(world));
	world_until(inbox_idles, world);
	g_assert_cmpuint(world->server->watches, ==, watches + 1);
	world_free(world);
}

static void what_happened_before_idle_began_is_seen(void)
{
	struct world *world = idling();

	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	fake_message_add(world->inbox, 6, 10); /* nobody is told */
	world_until(has_six, world);
	world_free(world);
}

static bool a_idles(void *user)
{
	return fake_is_idling(((struct world *)user)->server, "a") && inbox_idles(user);
}

static void one_connection_stays_for_those_who_want_something(void)
{
	struct world *world = idling();

	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "b"), ==, WORLD_OK);
	/* The one used last, and INBOX. */
	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	world_until(a_idles, world);
	g_assert_false(fake_is_idling(world->server, "b"));
	g_assert_cmpuint(world->server->open_max, <=, 2);
	world_free(world);
}

static void many_events_are_one_sync(void)
{
	struct world *world = idling();
	unsigned syncs = world->server->syncs;
	unsigned listings = world->listings;

	fake_message_add(world->inbox, 6, 10);
	for (unsigned i = 0; i < 10000; i++)
		fake_notice(world->server, "INBOX");
	world_until(has_six, world);
	world_settle(world);
	g_assert_cmpuint(world->server->syncs, <=, syncs + 2);
	g_assert_cmpuint(world->listings, <=, listings + 2);
	world_free(world);
}

static bool is_asked_instead(void *user)
{
	return is_watched_text(user, "no poll") && world_has_reason(user, "cannot be watched");
}

static void a_server_that_does_not_idle_is_not_asked_to_again(void)
{
	struct world *world = prepared();

	world->server->can_idle = true;
	fake_fault(world->server, &(struct fake_fault){
		.point = FAKE_WATCH, .code = MAILFS_ERROR_NOT_POSSIBLE });
	begin(world);
	world_until(is_asked_instead, world);
	g_assert_false(inbox_idles(world));
	g_assert_cmpuint(world->server->watches, ==, 0);
	world_free(world);
}

static void a_lost_watch_is_begun_on_another_connection(void)
{
	struct world *world = idling();

	fake_message_add(world->inbox, 6, 10);
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_until(has_six, world);
	world_until(inbox_idles, world);
	world_free(world);
}

/* Neither IDLE nor NOOP tells anything; STATUS does. */
static bool is_found_out(void *user)
{
	return world_has_reason(user, "does not tell") && !inbox_idles(user);
}

static bool has_seven(void *user)
{
	return world_count(user) == 7;
}

static void a_watch_that_never_tells_is_not_believed(void)
{
	struct world *world = prepared();

	world->server->can_idle = world->server->is_mute = true;
	world->poll_seconds = 1;
	begin(world);
	world_until(inbox_idles, world);
	fake_message_add(world->inbox, 6, 10);
	world_until(has_six, world);
	g_assert_false(is_found_out(world)); /* once may be an event that is late */
	fake_message_add(world->inbox, 7, 10);
	world_until(has_seven, world);
	world_until(is_found_out, world);
	world_free(world);
}

static bool was_asked_once_more(void *user)
{
	struct world *world = user;

	return world->server->lists > world->server->watches && inbox_idles(user);
}

static void a_watch_that_tells_late_is_believed(void)
{
	struct world *world = prepared();

	world->server->can_idle = world->server->is_mute = true;
	world->poll_seconds = 1;
	begin(world);
	world_until(inbox_idles, world);
	for (uint32_t uid = 6; uid <= 7; uid++) {
		fake_message_add(world->inbox, uid, 10);
		world->server->lists = world->server->watches;
		world_until(was_asked_once_more, world);
		fake_notice(world->server, "INBOX");
		world_until(uid == 6 ? has_six : has_seven, world);
	}
	g_assert_false(world_has_reason(world, "does not tell"));
	world_free(world);
}

static bool is_stuck(void *user)
{
	const struct pool *pool = ((struct world *)user)->engine->pool;

	for (guint i = 0; i < pool->sessions->len; i++) {
		if (pool_watch_is_stuck(g_ptr_array_index(pool->sessions, i), clock_monotonic_us()))
			return true;
	}
	return false;
}

static bool has_given_up(void *user)
{
	return world_has_reason(user, "does not begin it");
}

/* Nobody who reads meanwhile is told that we are offline. */
static void connections_that_idle_ends_are_replaced_at_once(void)
{
	struct world *world = prepared();

	world->server->can_idle = world->server->never_begins = true;
	begin(world);
	for (unsigned i = 0; i < 2; i++) {
		world_until(is_stuck, world);
		fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
		g_assert_cmpint(world_cat(world, i + 1), ==, WORLD_OK);
	}
	world_until(has_given_up, world);
	world_free(world);
}

/* ---- NOTIFY ---------------------------------------------------------------------------------- */

static bool a_has_four(void *user)
{
	struct folder *folder = world_folder(user, "a");

	return folder->box && mailbox_count(folder->box) == 4;
}

static struct world *notified(void)
{
	struct world *world = prepared();

	world->server->can_notify = true;
	begin(world);
	world_until(account_is_watched, world);
	return world;
}

static void notify_tells_of_all_folders_on_one_connection(void)
{
	struct world *world = notified();

	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	fake_message_add(fake_folder_find(world->server, "a"), 4, 10);
	fake_notice(world->server, "a");
	world_until(a_has_four, world);
	g_assert_cmpuint(world->server->dials, ==, 1);
	g_assert_true(is_watched_text(world, "notify"));
	world_free(world);
}

static void what_is_known_already_is_no_news(void)
{
	struct world *world = notified();
	unsigned syncs = world->server->syncs;

	for (unsigned i = 0; i < 10; i++)
		fake_notice(world->server, "INBOX");
	world_settle(world);
	g_assert_cmpuint(world->server->syncs, ==, syncs);
	world_free(world);
}

static bool c_is_shown(void *user)
{
	return tree_by_name(engine_tree(((struct world *)user)->engine), "c") != NULL;
}

static void folders_that_come_are_shown(void)
{
	struct world *world = notified();

	fake_folder_add(world->server, "c", 10);
	fake_notice_tree(world->server);
	world_until(c_is_shown, world);
	world_free(world);
}

static void without_notify_it_idles(void)
{
	struct world *world = prepared();

	world->server->can_notify = world->server->can_idle = true;
	fake_fail(world->server, FAKE_WATCH, MAILFS_ERROR_NOT_POSSIBLE);
	begin(world);
	world_until(inbox_idles, world);
	g_assert_false(account_is_watched(world));
	world_free(world);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool was_asked_thrice(void *user)
{
	return ((struct world *)user)->server->lists >= 4;
}

static void an_unchanged_folder_is_not_opened(void)
{
	struct world *world = prepared();
	unsigned syncs;

	world->poll_seconds = 1;
	begin(world);
	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	syncs = world->server->syncs;
	world_until(was_asked_thrice, world);
	g_assert_cmpuint(world->server->syncs, ==, syncs);
	fake_message_add(world->inbox, 6, 10);
	world_until(has_six, world);
	g_assert_cmpuint(world->server->syncs, ==, syncs + 1);
	world_free(world);
}

static void without_list_status_each_folder_in_use_costs_a_status(void)
{
	struct world *world = prepared();

	world->poll_seconds = 1;
	world->server->hides_status = world->server->cannot_delta = true;
	begin(world);
	g_assert_cmpint(world_open(world, "a"), ==, WORLD_OK);
	world_until(was_asked_thrice, world);
	fake_message_add(world->inbox, 6, 10);
	world_until(has_six, world);
	/* b was never opened, a is selected. */
	g_assert_cmpuint(world->server->statuses, <=, world->server->lists);
	g_assert_cmpuint(world->server->polls, >, 0);
	world_free(world);
}

static void a_machine_that_slept_asks_for_signs_of_life(void)
{
	struct world *world = idling();

	clock_fake_sleep(60 * G_USEC_PER_SEC);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->impatient_polls, ==, 1);
	world_free(world);
	clock_fake_sleep(0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(name, fn) g_test_add_func("/engine/watch/" name, fn)
	T("idle/what it tells", what_idle_tells_is_shown);
	T("idle/again after a job", idle_begins_again_after_a_job);
	T("idle/CN-1 before it began", what_happened_before_idle_began_is_seen);
	T("idle/CN-2 one connection stays", one_connection_stays_for_those_who_want_something);
	T("idle/many events are one sync", many_events_are_one_sync);
	T("idle/EX-4 refused", a_server_that_does_not_idle_is_not_asked_to_again);
	T("idle/CN-1 lost", a_lost_watch_is_begun_on_another_connection);
	T("idle/CN-1 never tells", a_watch_that_never_tells_is_not_believed);
	T("idle/CN-1 tells late", a_watch_that_tells_late_is_believed);
	T("idle/CN-1 no plus", connections_that_idle_ends_are_replaced_at_once);
	T("notify/all folders", notify_tells_of_all_folders_on_one_connection);
	T("notify/ID-7 no news", what_is_known_already_is_no_news);
	T("notify/folders", folders_that_come_are_shown);
	T("notify/EX-4 refused", without_notify_it_idles);
	T("ask/an unchanged folder", an_unchanged_folder_is_not_opened);
	T("ask/EX-3 STATUS", without_list_status_each_folder_in_use_costs_a_status);
	T("ask/CN-1 asleep", a_machine_that_slept_asks_for_signs_of_life);
	return g_test_run();
}
