/* SPDX-License-Identifier: MIT */
/* Messages of a folder: first sweep, deltas, full listings, identity, accidents. */
#include "engine_world.h"

#include "base/clock.h"

static struct world *started(uint32_t first, uint32_t last)
{
	struct world *world = world_new();

	if (last >= first)
		fake_messages_add(world->inbox, first, last, 100);
	world_start(world);
	return world;
}

static struct world *opened(uint32_t first, uint32_t last)
{
	struct world *world = started(first, last);

	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

/* ---- the first sweep ------------------------------------------------------------------------- */

static void a_first_open_sweeps_the_folder(void)
{
	struct world *world = opened(1, 250);

	g_assert_cmpuint(world_count(world), ==, 250);
	g_assert_cmpuint(world->server->sweeps, ==, 1);
	g_assert_cmpuint(world_message(world, 17)->size, ==, 100);
	g_assert_cmpint(world_message(world, 17)->date, ==, 1600000017);
	g_assert_cmpint(world_message(world, 17)->ctime_ns, ==, 1600000017000000000);
	world_free(world);
}

static void a_second_open_asks_nobody(void)
{
	struct world *world = opened(1, 5);

	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->syncs, ==, 1);
	world_free(world);
}

static void a_remount_answers_from_the_index(void)
{
	struct world *world = opened(1, 5);

	world_stop(world);
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpint(world->started_code, ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 5);
	world_free(world);
}

static void what_is_read_at_the_start_is_shown_when_it_is_opened(void)
{
	struct world *world = opened(1, 5);

	world_restart(world);
	world_settle(world);
	g_assert_null(world_folder(world, "INBOX")->box);
	/* At once: not even the index is asked. */
	g_assert_cmpuint(engine_open_folder(world->engine, world_folder(world, "INBOX"), answer_take,
				 &(struct answer){ 0 }),
		==, 0);
	g_assert_cmpuint(world_count(world), ==, 5);
	world_free(world);
}

static void what_is_read_at_the_start_is_no_news(void)
{
	struct world *world = opened(1, 5);

	world_restart(world);
	world_settle(world);
	fake_message_add(world->inbox, 6, 100);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 6);
	g_assert_cmpuint(world->server->sweeps, ==, 1);
	world_free(world);
}

static void a_remount_with_equal_status_syncs_nothing(void)
{
	struct world *world = opened(1, 5);

	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	world_settle(world);
	g_assert_cmpuint(world->server->syncs, ==, 1);
	world_free(world);
}

static void a_remount_catches_up_before_it_has_started(void)
{
	struct world *world = opened(1, 5);

	world_stop(world);
	fake_message_add(world->inbox, 6, 100);
	world_start(world);
	g_assert_cmpuint(world_count(world), ==, 6);
	world_free(world);
}

static void descending_messages_end_in_order(void)
{
	struct world *world = started(1, 300);

	world->server->sends_descending = true;
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 300);
	for (uint32_t uid = 1; uid <= 300; uid++)
		g_assert_cmpuint(mailbox_at(world_folder(world, "INBOX")->box, uid - 1)->uid, ==, uid);
	world_free(world);
}

static void a_long_descending_sweep_moves_little(void)
{
	struct world *world = started(1, 20000);

	world->server->sends_descending = true;
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 20000);
	/* One by one at the front: 200,000,000. */
	g_assert_cmpuint(world_folder(world, "INBOX")->box->moved, <, 10000000);
	world_free(world);
}

static void count_good(void *user, const GError *error)
{
	g_assert_no_error(error);
	++*(unsigned *)user;
}

static bool is_thirty(void *user)
{
	return *(unsigned *)user == 30;
}

static void many_who_open_cause_one_sweep(void)
{
	struct world *world = started(1, 50);
	unsigned count = 0;

	for (unsigned i = 0; i < 30; i++)
		g_assert_cmpuint(engine_open_folder(world->engine, world_folder(world, "INBOX"),
					 count_good, &count),
			!=, 0);
	world_until(is_thirty, &count);
	g_assert_cmpuint(world->server->syncs, ==, 1);
	world_free(world);
}

static void a_sweep_that_dies_is_done_again_once(void)
{
	struct world *world = started(1, 500);

	fake_die(world->server, FAKE_SYNC_MID, MAILFS_ERROR_CONNECTION_LOST);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 500);
	g_assert_cmpuint(world->server->syncs, ==, 2);
	world_free(world);
}

static void a_sweep_that_dies_twice_is_an_error(void)
{
	struct world *world = started(1, 500);

	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_SYNC_MID, .times = 2,
		.code = MAILFS_ERROR_CONNECTION_LOST, .is_death = true });
	g_assert_cmpint(world_open(world, "INBOX"), !=, WORLD_OK);
	g_assert_null(world_folder(world, "INBOX")->box);
	world_free(world);
}

static void what_a_broken_sweep_left_is_swept_again(void)
{
	struct world *world = started(1, 2000);

	fake_fail(world->server, FAKE_SYNC_END, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpint(world_open(world, "INBOX"), ==, MAILFS_ERROR_PROTOCOL);
	world_settle(world);
	fake_message_remove(world->inbox, 3);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 1999);
	world_settle(world);
	/* No ghost in the index either. */
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 1999);
	g_assert_null(world_message(world, 3));
	world_free(world);
}

static void count_answer(void *user, const GError *error)
{
	++*(unsigned *)user;
}

static void tell_very_many(struct fake_server *server, const struct mailfs_sync_request *request)
{
	struct mailfs_message_info info = {
		.fields = MAILFS_INFO_FLAGS | MAILFS_INFO_SIZE | MAILFS_INFO_DATE,
	};

	for (info.uid = 1; info.uid <= 30000; info.uid++)
		request->messages(request->user, &info, 1);
}

static bool is_not_held(void *user)
{
	return !fake_is_held(((struct world *)user)->server);
}

static void many_rows_hold_the_network_for_a_while(void)
{
	struct world *world = started(1, 1);

	world->server->sync_hook = tell_very_many;
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 30000);
	g_assert_cmpuint(world->server->holds, ==, 1);
	world_until(is_not_held, world);
	world_free(world);
}

static void a_stop_while_the_index_is_asked_answers_cancelled(void)
{
	struct world *world = started(1, 1);
	unsigned count = 0;

	world->server->sync_hook = tell_very_many;
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	world_settle(world);
	world_stop(world);
	world->server->is_down = true;
	world_start(world);
	engine_open_folder(world->engine, world_folder(world, "INBOX"), count_answer, &count);
	world_stop(world);
	g_assert_cmpuint(count, ==, 1);
	world_free(world);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void a_delta_brings_new_gone_and_changed(void)
{
	struct world *world = opened(1, 10);
	uint32_t generation = world_folder(world, "INBOX")->generation;
	int64_t listing_ns = world_folder(world, "INBOX")->listing_ns;

	fake_message_add(world->inbox, 11, 100);
	fake_message_remove(world->inbox, 2);
	fake_message_flag(world->inbox, 5, MAILFS_FLAG_SEEN);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->sweeps, ==, 1);
	g_assert_cmpuint(world_count(world), ==, 10);
	g_assert_nonnull(world_message(world, 11));
	g_assert_null(world_message(world, 2));
	g_assert_cmpuint(world_message(world, 5)->flags, ==, MAILFS_FLAG_SEEN);
	g_assert_cmpuint(world->messages_gone, ==, 1);
	g_assert_cmpuint(world->messages_changed, ==, 1);
	g_assert_cmpuint(world_folder(world, "INBOX")->generation, >, generation);
	g_assert_cmpint(world_folder(world, "INBOX")->listing_ns, >, listing_ns);
	world_free(world);
}

static void flags_alone_do_not_change_the_listing(void)
{
	struct world *world = opened(1, 10);
	uint32_t generation = world_folder(world, "INBOX")->generation;
	int64_t listing_ns = world_folder(world, "INBOX")->listing_ns;

	fake_message_flag(world->inbox, 5, MAILFS_FLAG_FLAGGED);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_folder(world, "INBOX")->generation, ==, generation);
	g_assert_cmpint(world_folder(world, "INBOX")->listing_ns, ==, listing_ns);
	world_free(world);
}

static void ctime_rises_with_flags_and_is_kept(void)
{
	struct world *world = opened(1, 3);
	int64_t ctime_ns;

	clock_fake(1800000000000000);
	fake_message_flag(world->inbox, 2, MAILFS_FLAG_SEEN);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	ctime_ns = world_message(world, 2)->ctime_ns;
	g_assert_cmpint(ctime_ns, ==, 1800000000000000000);
	g_assert_cmpuint(world_message(world, 2)->seen_time, ==, 1800000000);
	fake_message_flag(world->inbox, 2, MAILFS_FLAG_SEEN | MAILFS_FLAG_FLAGGED);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_message(world, 2)->ctime_ns, ==, ctime_ns + 1);
	g_assert_cmpuint(world_message(world, 2)->seen_time, ==, 1800000000);
	clock_fake(0);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_message(world, 2)->ctime_ns, ==, ctime_ns + 1);
	world_free(world);
}

static void a_full_listing_removes_what_it_does_not_mention(void)
{
	struct world *world = opened(1, 10);

	world->server->sync_is_full = true;
	fake_message_remove(world->inbox, 4);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 9);
	g_assert_cmpuint(world->server->uids, ==, 0);
	world_free(world);
}

static void name_uids(struct fake_server *server, const struct mailfs_sync_request *request)
{
	static const uint32_t uids[] = { 1, 2, 3, 4, 5, 6, 7 };

	request->uids(request->user, uids, G_N_ELEMENTS(uids));
}

static void a_hole_is_filled_by_a_sweep(void)
{
	struct world *world = opened(1, 6);

	fake_message_add(world->inbox, 7, 100);
	world->server->sync_hook = name_uids;
	world->inbox->modseq++;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	world->server->sync_hook = NULL;
	world_settle(world);
	g_assert_cmpuint(world->server->syncs, ==, 3);
	g_assert_cmpuint(world->server->last_known.uidvalidity, ==, 0);
	world_free(world);
}

static void what_a_broken_delta_brought_is_not_lost(void)
{
	struct world *world = opened(1, 10);

	fake_messages_add(world->inbox, 11, 40, 100);
	fake_fail(world->server, FAKE_SYNC_END, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpuint(world_count(world), ==, 40);
	/* What is asked next time begins where the last good one ended. */
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->last_known.uid_max, ==, 10);
	g_assert_cmpuint(world->server->last_known.count, ==, 10);
	world_settle(world);
	world_stop(world);
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 40);
	world_free(world);
}

static bool is_two(void *user)
{
	return *(unsigned *)user == 2;
}

static void a_change_during_a_sync_is_looked_at_again(void)
{
	struct world *world = opened(1, 10);
	unsigned count = 0;

	world->server->delay = 5;
	engine_refresh(world->engine, world_folder(world, "INBOX"), count_answer, &count);
	world_turns(4);
	engine_refresh(world->engine, world_folder(world, "INBOX"), count_answer, &count);
	world_until(is_two, &count);
	g_assert_cmpuint(world->server->syncs, ==, 3);
	world_free(world);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static void vanish_all(struct fake_server *server, const struct mailfs_sync_request *request)
{
	for (unsigned i = 0; i < 20000; i++)
		request->vanished(request->user, 1, UINT32_MAX);
}

static void an_endless_range_removes_nothing_without_a_second_word(void)
{
	struct world *world = opened(1, 1000);

	world->server->sync_hook = vanish_all;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->uids, ==, 1);
	g_assert_cmpuint(world_count(world), ==, 1000);
	world_free(world);
}

static void vanish_and_come_back(struct fake_server *server, const struct mailfs_sync_request *request)
{
	struct mailfs_message_info info = { .uid = 3, .fields = MAILFS_INFO_FLAGS };

	request->vanished(request->user, 2, 3);
	request->messages(request->user, &info, 1);
}

static void the_later_word_about_a_message_counts(void)
{
	struct world *world = opened(1, 10);

	world->server->sync_hook = vanish_and_come_back;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_null(world_message(world, 2));
	g_assert_nonnull(world_message(world, 3));
	world_free(world);
}

static void a_great_loss_is_confirmed(void)
{
	struct world *world = opened(1, 100);

	for (uint32_t uid = 1; uid <= 80; uid++)
		fake_message_remove(world->inbox, uid);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->uids, ==, 1);
	g_assert_cmpuint(world_count(world), ==, 20);
	world_free(world);
}

static void mention_nothing(struct fake_server *server, const struct mailfs_sync_request *request)
{
}

static void listings_that_disagree_remove_nothing(void)
{
	struct world *world = opened(1, 100);

	world->server->sync_is_full = true;
	world->server->sync_hook = mention_nothing;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 100);
	g_assert_cmpuint(world->messages_gone, ==, 0);
	/* Nothing is built on it. */
	world->server->sync_hook = NULL;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->last_known.modseq, ==, 0);
	world_free(world);
}

static void a_loss_that_cannot_be_confirmed_removes_nothing(void)
{
	struct world *world = opened(1, 100);

	world->server->sync_is_full = true;
	world->server->sync_hook = mention_nothing;
	fake_fail(world->server, FAKE_UIDS, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpuint(world_count(world), ==, 100);
	world_free(world);
}

static void a_confirmation_that_dies_is_asked_again(void)
{
	struct world *world = opened(1, 100);

	for (uint32_t uid = 1; uid <= 80; uid++)
		fake_message_remove(world->inbox, uid);
	fake_die(world->server, FAKE_UIDS, MAILFS_ERROR_CONNECTION_LOST);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->uids, ==, 2);
	g_assert_cmpuint(world_count(world), ==, 20);
	world_free(world);
}

/* ---- identity -------------------------------------------------------------------------------- */

static void a_new_uidvalidity_makes_a_new_box(void)
{
	struct world *world = opened(1, 5);
	uint32_t old = world_folder(world, "INBOX")->box->id;
	struct reading *reading;

	g_assert_cmpint(world_cat(world, 2), ==, WORLD_OK);
	fake_folder_clear(world->inbox, 8);
	fake_messages_add(world->inbox, 1, 3, 200);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->boxes_gone, ==, 1);
	g_assert_cmpuint(world->box_gone_id, ==, old);
	g_assert_cmpuint(world_folder(world, "INBOX")->box->id, !=, old);
	g_assert_cmpuint(world_count(world), ==, 3);
	g_assert_cmpint(world_cat(world, 2), ==, WORLD_OK);
	/* The old inode is another mail's, which is no more. */
	world_folder(world, "INBOX")->box->id ^= 1;
	reading = world_read_begin(world, 2, 0, 10);
	world_until(reading_is_over, reading);
	g_assert_cmpint(reading->code, ==, MAILFS_ERROR_STALE);
	reading_free(reading);
	world_folder(world, "INBOX")->box->id ^= 1;
	world_free(world);
}

static void the_old_box_is_gone_even_if_the_sweep_fails(void)
{
	struct world *world = opened(1, 5);

	fake_folder_clear(world->inbox, 8);
	fake_messages_add(world->inbox, 1, 3, 200);
	fake_fail(world->server, FAKE_SYNC_END, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, MAILFS_ERROR_PROTOCOL);
	g_assert_null(world_folder(world, "INBOX")->box);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 3);
	world_free(world);
}

static void without_uidvalidity_nothing_persists(void)
{
	struct world *world = world_new();
	uint32_t first;

	world->inbox->uidvalidity = 0;
	fake_messages_add(world->inbox, 1, 5, 100);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 2), ==, WORLD_OK);
	first = world_folder(world, "INBOX")->box->id;
	/* While the connection lives it is the same mailbox. */
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_folder(world, "INBOX")->box->id, ==, first);
	world_stop(world);
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, MAILFS_ERROR_OFFLINE);
	world->server->is_down = false;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_folder(world, "INBOX")->box->id, !=, first);
	world->server->fetches = 0;
	g_assert_cmpint(world_cat(world, 2), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 1);
	world_free(world);
}

static void names_once_given_stay(void)
{
	struct world *world = world_new();
	uint32_t hash;

	world->want_names = true;
	fake_messages_add(world->inbox, 1, 5, 100);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	hash = world_message(world, 3)->name_hash;
	g_assert_cmpuint(hash, !=, 0);
	g_assert_cmpuint(world->names_given, ==, 5);
	g_free(fake_message_find(world->inbox, 3)->subject);
	fake_message_find(world->inbox, 3)->subject = g_strdup("another");
	world_restart(world);
	world->server->sync_is_full = true;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_message(world, 3)->name_hash, ==, hash);
	g_assert_cmpuint(world->names_given, ==, 5);
	world_free(world);
}

static void a_mount_that_wants_names_gets_them_for_old_rows(void)
{
	struct world *world = opened(1, 5);
	uint32_t generation;

	g_assert_cmpuint(world_message(world, 3)->name_hash, ==, 0);
	world->want_names = true;
	world_restart(world);
	generation = world_folder(world, "INBOX")->generation;
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_message(world, 3)->name_hash, !=, 0);
	g_assert_cmpuint(world_folder(world, "INBOX")->generation, >, generation);
	world_free(world);
}

static void the_first_listing_time_survives_the_loss_of_the_cache(void)
{
	struct world *world = opened(1, 5);
	int64_t first = world_folder(world, "INBOX")->listing_ns;

	world_free(world);
	world = opened(1, 5);
	g_assert_cmpint(world_folder(world, "INBOX")->listing_ns, ==, first);
	world_free(world);
}

/* ---- accidents ------------------------------------------------------------------------------- */

static void a_folder_dropped_in_mid_sync_answers_gone(void)
{
	struct world *world = opened(1, 10);
	struct fake_folder *folder = fake_folder_add(world->server, "Work", 3);
	unsigned count = 0;

	fake_messages_add(folder, 1, 500, 10);
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	world->connections = 3;
	engine_open_folder(world->engine, world_folder(world, "Work"), count_answer, &count);
	world_turns(6);
	fake_folder_remove(world->server, "Work");
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	world_settle(world);
	g_assert_cmpuint(count, ==, 1);
	g_assert_null(tree_by_name(engine_tree(world->engine), "Work"));
	world_free(world);
}

static void a_cancelled_open_is_not_answered(void)
{
	struct world *world = started(1, 500);
	unsigned count = 0;
	engine_ticket ticket;

	for (unsigned turns = 0; turns < 12; turns++) {
		ticket = engine_open_folder(world->engine, world_folder(world, "INBOX"), count_answer,
			&count);
		world_turns(turns);
		if (ticket != 0 && count == 0)
			engine_cancel(world->engine, ticket);
		else
			break;
	}
	world_settle(world);
	g_assert_cmpuint(count, <=, 1);
	g_assert_cmpuint(world_count(world), ==, 500);
	world_free(world);
}

struct canceller {
	struct world *world;
	engine_ticket other;
	unsigned answers;
};

static void cancel_other(void *user, const GError *error)
{
	struct canceller *mine = user;

	mine->answers++;
	engine_cancel(mine->world->engine, mine->other);
}

static void an_answer_may_cancel_its_neighbour(void)
{
	struct world *world = started(1, 10);
	struct canceller canceller = { .world = world };
	unsigned count = 0;

	engine_open_folder(world->engine, world_folder(world, "INBOX"), cancel_other, &canceller);
	canceller.other = engine_open_folder(world->engine, world_folder(world, "INBOX"),
		count_answer, &count);
	world_settle(world);
	g_assert_cmpuint(canceller.answers, ==, 1);
	g_assert_cmpuint(count, ==, 0);
	world_free(world);
}

static void refresh_again(void *user, const GError *error)
{
	struct canceller *mine = user;

	if (mine->answers++ == 0)
		engine_refresh(mine->world->engine, world_folder(mine->world, "INBOX"), refresh_again,
			mine);
}

static void an_answer_may_ask_for_more(void)
{
	struct world *world = opened(1, 10);
	struct canceller mine = { .world = world };

	world->server->delay = 3;
	engine_refresh(world->engine, world_folder(world, "INBOX"), refresh_again, &mine);
	world_turns(3);
	fake_tell_changed(world->server, "INBOX");
	world_settle(world);
	g_assert_cmpuint(mine.answers, ==, 2);
	world_free(world);
}

static void stopping_at_any_turn_answers_once(void)
{
	for (unsigned turns = 0; turns < 60; turns++) {
		struct world *world = started(1, 600);
		unsigned count = 0;

		world->server->delay = turns % 3;
		engine_open_folder(world->engine, world_folder(world, "INBOX"), count_answer, &count);
		engine_refresh(world->engine, NULL, count_answer, &count);
		world_turns(turns);
		world_stop(world);
		g_assert_cmpuint(count, ==, 2);
		world_free(world);
	}
}

static void freeing_without_stopping_answers_nobody(void)
{
	for (unsigned turns = 0; turns < 40; turns += 3) {
		struct world *world = started(1, 600);
		unsigned count = 0, before;

		engine_open_folder(world->engine, world_folder(world, "INBOX"), count_answer, &count);
		engine_refresh(world->engine, NULL, count_answer, &count);
		world_turns(turns);
		before = count;
		engine_free(world->engine);
		world->engine = NULL;
		world_settle(world);
		g_assert_cmpuint(count, ==, before);
		world_free(world);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/engine/syncer/" path, fn)
	T("a first open sweeps", a_first_open_sweeps_the_folder);
	T("a second open asks nobody", a_second_open_asks_nobody);
	T("a remount answers from the index", a_remount_answers_from_the_index);
	T("read at the start", what_is_read_at_the_start_is_shown_when_it_is_opened);
	T("read at the start, then news", what_is_read_at_the_start_is_no_news);
	T("equal STATUS, no sync", a_remount_with_equal_status_syncs_nothing);
	T("a remount catches up", a_remount_catches_up_before_it_has_started);
	T("ID-4 descending", descending_messages_end_in_order);
	T("a long descending sweep", a_long_descending_sweep_moves_little);
	T("many opens, one sweep", many_who_open_cause_one_sweep);
	T("a dead sweep is repeated", a_sweep_that_dies_is_done_again_once);
	T("a sweep that dies twice", a_sweep_that_dies_twice_is_an_error);
	T("leftovers are swept again", what_a_broken_sweep_left_is_swept_again);
	T("rows hold the network", many_rows_hold_the_network_for_a_while);
	T("stop while the index is asked", a_stop_while_the_index_is_asked_answers_cancelled);
	T("delta", a_delta_brings_new_gone_and_changed);
	T("flags and the listing", flags_alone_do_not_change_the_listing);
	T("ctime", ctime_rises_with_flags_and_is_kept);
	T("full listing", a_full_listing_removes_what_it_does_not_mention);
	T("holes", a_hole_is_filled_by_a_sweep);
	T("a broken delta", what_a_broken_delta_brought_is_not_lost);
	T("a change during a sync", a_change_during_a_sync_is_looked_at_again);
	T("SEC-29 vanished 1:4294967295", an_endless_range_removes_nothing_without_a_second_word);
	T("the later word counts", the_later_word_about_a_message_counts);
	T("ID-6 a great loss is confirmed", a_great_loss_is_confirmed);
	T("ID-6 disagreement keeps all", listings_that_disagree_remove_nothing);
	T("ID-6 unconfirmed", a_loss_that_cannot_be_confirmed_removes_nothing);
	T("ID-6 the confirmation dies", a_confirmation_that_dies_is_asked_again);
	T("ID-1 new UIDVALIDITY", a_new_uidvalidity_makes_a_new_box);
	T("ID-1 the sweep after it fails", the_old_box_is_gone_even_if_the_sweep_fails);
	T("ID-2 no UIDVALIDITY", without_uidvalidity_nothing_persists);
	T("names stay", names_once_given_stay);
	T("names for old rows", a_mount_that_wants_names_gets_them_for_old_rows);
	T("first listing time", the_first_listing_time_survives_the_loss_of_the_cache);
	T("AS-3 folder dropped", a_folder_dropped_in_mid_sync_answers_gone);
	T("cancel", a_cancelled_open_is_not_answered);
	T("cancel in an answer", an_answer_may_cancel_its_neighbour);
	T("ask in an answer", an_answer_may_ask_for_more);
	T("stop at any turn", stopping_at_any_turn_answers_once);
	T("free at any turn", freeing_without_stopping_answers_nobody);
	return g_test_run();
}
