/* SPDX-License-Identifier: MIT */
/* A first listing that is shown as it comes. */
#include "engine_world.h"

static struct world *started(uint32_t first, uint32_t last)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, first, last, 100);
	world_start(world);
	return world;
}

/* Waits for the part of INBOX above that UID. */
static int listing_beyond(struct world *world, uint32_t above)
{
	struct answer answer = { 0 };

	engine_open_listing(world->engine, world_folder(world, "INBOX"), above, answer_take, &answer);
	world_until(answer_is_there, &answer);
	return answer.code;
}

static void a_first_listing_is_there_in_parts(void)
{
	struct world *world = started(1, 500);
	struct folder *folder = world_folder(world, "INBOX");
	uint32_t above = 0;

	g_assert_cmpint(listing_beyond(world, above), ==, WORLD_OK);
	g_assert_null(folder->box);
	g_assert_cmpuint(folder->coming_total, ==, 500);
	while (!folder->box) {
		g_assert_cmpuint(folder->coming_to, >, above);
		above = folder->coming_to;
		g_assert_cmpuint(mailbox_lower_bound(folder->coming, above + 1), ==, above);
		g_assert_cmpint(listing_beyond(world, above), ==, WORLD_OK);
	}
	g_assert_null(folder->coming);
	g_assert_cmpuint(above, <, 500);
	g_assert_cmpuint(world_count(world), ==, 500);
	world_free(world);
}

static void assert_folder(struct world *world, const char *state, uint32_t known, uint32_t total)
{
	struct engine_folder_status status;

	engine_get_folder_status(world->engine, world_folder(world, "INBOX"), &status);
	g_assert_cmpstr(status.state, ==, state);
	g_assert_cmpuint(status.known, ==, known);
	g_assert_cmpuint(status.total, ==, total);
}

static void how_far_a_folder_is_known_can_be_told(void)
{
	struct world *world = started(1, 500);
	struct folder *folder = world_folder(world, "INBOX");

	assert_folder(world, "unlisted", 0, folder->messages);
	g_assert_cmpint(listing_beyond(world, 0), ==, WORLD_OK);
	assert_folder(world, "listing", mailbox_count(folder->coming), 500);
	g_assert_cmpuint(mailbox_count(folder->coming), <, 500);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	assert_folder(world, "complete", 500, 500);
	world_restart(world);
	assert_folder(world, "unloaded", 500, 500);
	world_free(world);
}

static void who_wants_all_of_a_folder_gets_no_part(void)
{
	struct world *world = started(1, 500);

	g_assert_cmpint(listing_beyond(world, 0), ==, WORLD_OK);
	g_assert_null(world_folder(world, "INBOX")->box);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 500);
	g_assert_cmpuint(world->server->syncs, ==, 1);
	world_free(world);
}

static void what_was_listed_in_parts_is_not_listed_again(void)
{
	struct world *world = started(1, 500);
	struct folder *folder = world_folder(world, "INBOX");
	uint32_t generation = folder->generation;
	unsigned listings = world->listings;

	g_assert_cmpint(listing_beyond(world, 0), ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(folder->generation, ==, generation);
	g_assert_cmpuint(world->listings, ==, listings);
	world_free(world);
}

static void tell(const struct mailfs_sync_request *request, uint32_t uid, unsigned flags)
{
	struct mailfs_message_info info = {
		.uid = uid,
		.flags = flags,
		.fields = MAILFS_INFO_FLAGS | MAILFS_INFO_SIZE | MAILFS_INFO_DATE,
	};

	request->messages(request->user, &info, 1);
}

/* After it has said that all up to 10 was told: 4 is new, 5 has other flags, 6 is gone. */
static void tell_otherwise(struct fake_server *server, const struct mailfs_sync_request *request)
{
	for (uint32_t uid = 1; uid <= 10; uid++) {
		if (uid != 4)
			tell(request, uid, 0);
	}
	request->complete(request->user, 10);
	tell(request, 4, 0);
	tell(request, 5, MAILFS_FLAG_SEEN);
	request->vanished(request->user, 6, 6);
}

static void what_changes_behind_the_part_that_was_listed_is_told(void)
{
	struct world *world = started(1, 10);
	struct folder *folder = world_folder(world, "INBOX");
	uint32_t generation = folder->generation;

	world->server->sync_hook = tell_otherwise;
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(folder->generation, >, generation);
	g_assert_cmpuint(world_count(world), ==, 9);
	g_assert_cmpuint(world->messages_changed, ==, 1);
	g_assert_cmpuint(world->messages_gone, ==, 1);
	world_free(world);
}

static void a_listing_in_parts_survives_a_lost_connection(void)
{
	struct world *world = started(1, 500);
	struct folder *folder = world_folder(world, "INBOX");

	fake_die(world->server, FAKE_SYNC_MID, MAILFS_ERROR_CONNECTION_LOST);
	for (uint32_t above = 0; !folder->box; above = folder->coming_to)
		g_assert_cmpint(listing_beyond(world, above), ==, WORLD_OK);
	g_assert_cmpuint(world->server->syncs, ==, 2);
	g_assert_cmpuint(world_count(world), ==, 500);
	world_free(world);
}

/* It must not look as if that were all. */
static void a_listing_that_stops_in_the_middle_is_an_error(void)
{
	struct world *world = started(1, 500);
	struct folder *folder = world_folder(world, "INBOX");
	int code = WORLD_OK;

	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_SYNC_MID, .times = 2,
		.code = MAILFS_ERROR_CONNECTION_LOST, .is_death = true });
	while (code == WORLD_OK && !folder->box)
		code = listing_beyond(world, folder->coming_to);
	g_assert_cmpint(code, ==, MAILFS_ERROR_CONNECTION_LOST);
	g_assert_null(folder->coming);
	world_free(world);
}

static void a_stop_while_a_listing_comes_answers(void)
{
	struct world *world = started(1, 500);
	struct answer answer = { 0 };

	g_assert_cmpint(listing_beyond(world, 0), ==, WORLD_OK);
	engine_open_listing(world->engine, world_folder(world, "INBOX"), 499, answer_take, &answer);
	world_stop(world);
	g_assert_cmpuint(answer.count, ==, 1);
	g_assert_cmpint(answer.code, !=, WORLD_OK);
	world_free(world);
}

static void status_tells_how_far_a_first_listing_is(void)
{
	struct world *world = started(1, 500);
	struct engine_status status;

	g_assert_cmpint(listing_beyond(world, 0), ==, WORLD_OK);
	engine_get_status(world->engine, &status);
	g_assert_cmpuint(status.folders_coming, ==, 1);
	g_assert_cmpuint(status.messages_expected, ==, 500);
	g_assert_cmpuint(status.messages_coming, >=, world_folder(world, "INBOX")->coming_to);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	engine_get_status(world->engine, &status);
	g_assert_cmpuint(status.folders_coming, ==, 0);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/engine/coming/" path, fn)
	T("how-far", how_far_a_folder_is_known_can_be_told);
	T("in parts", a_first_listing_is_there_in_parts);
	T("all of it", who_wants_all_of_a_folder_gets_no_part);
	T("once is enough", what_was_listed_in_parts_is_not_listed_again);
	T("changes behind it are told", what_changes_behind_the_part_that_was_listed_is_told);
	T("a lost connection", a_listing_in_parts_survives_a_lost_connection);
	T("it stops in the middle", a_listing_that_stops_in_the_middle_is_an_error);
	T("the mount ends", a_stop_while_a_listing_comes_answers);
	T("status", status_tells_how_far_a_first_listing_is);
	return g_test_run();
}
