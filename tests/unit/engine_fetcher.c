/* SPDX-License-Identifier: MIT */
/* Bodies on demand: how often, how much, sizes, accidents. */
#include "engine_world.h"

#include <glib/gstdio.h>
#include <string.h>


#define KIB 1024u
#define MIB (1024u * 1024u)

static struct world *with_message(size_t size)
{
	struct world *world = world_new();

	fake_message_add(world->inbox, 1, size);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static struct world *trusted_with(size_t size)
{
	struct world *world = with_message(size);

	world_earn_trust(world);
	world->server->fetches = world->server->ranges = 0;
	world->server->bytes_sent = 0;
	return world;
}

static void read_some_and_leave(struct world *world)
{
	g_assert_cmpint(world_read(world, 1, 0, 4096, NULL), ==, WORLD_OK);
}

/* ---- how often and how much ------------------------------------------------------------------ */

static void assert_bytes(struct world *world, uint64_t read, uint64_t saved)
{
	struct engine_status status;

	engine_get_status(world->engine, &status);
	g_assert_cmpuint(status.bytes_read, ==, read);
	g_assert_cmpuint(status.bytes_saved, ==, saved);
}

static void what_the_cache_spares_is_counted(void)
{
	struct world *world = with_message(5000);

	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	assert_bytes(world, 5000, 0);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	assert_bytes(world, 10000, 5000);
	world_settle(world);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	assert_bytes(world, 5000, 5000);
	world_free(world);
}

struct many {
	struct reading *readings[30];
};

static bool all_over(void *user)
{
	struct many *many = user;

	for (unsigned i = 0; i < G_N_ELEMENTS(many->readings); i++)
		if (!reading_is_over(many->readings[i]))
			return false;
	return true;
}

static void thirty_readers_cause_one_fetch(void)
{
	struct world *world = with_message(5000);
	struct many many;

	for (unsigned i = 0; i < G_N_ELEMENTS(many.readings); i++)
		many.readings[i] = world_read_begin(world, 1, i * 100, 100);
	world_until(all_over, &many);
	for (unsigned i = 0; i < G_N_ELEMENTS(many.readings); i++) {
		g_assert_cmpint(many.readings[i]->code, ==, WORLD_OK);
		g_assert_cmpuint(many.readings[i]->bytes->len, ==, 100);
		reading_free(many.readings[i]);
	}
	g_assert_cmpuint(world->server->fetches, ==, 1);
	world_free(world);
}

static void what_was_read_is_in_the_cache_after_a_remount(void)
{
	struct world *world = with_message(5000);

	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_settle(world);
	world_stop(world);
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 1);
	world_free(world);
}

static void the_head_of_a_large_message_costs_little(void)
{
	struct world *world = trusted_with(27 * MIB);

	g_assert_cmpint(world_read(world, 1, 0, 128 * KIB, NULL), ==, WORLD_OK);
	world_settle(world);
	g_assert_cmpuint(world->server->bytes_sent, <, 300 * 1000);
	world_free(world);
}

static void a_large_message_comes_by_growing_windows(void)
{
	struct world *world = trusted_with(10 * MIB);

	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, world->server->ranges);
	g_assert_cmpuint(world->server->ranges, <=, 14);
	g_assert_cmpuint(world->server->range_max, <=, 4 * MIB + 8192 + 1);
	g_assert_cmpuint(world->server->bytes_sent, <, 10 * MIB + 14 * 8192);
	/* Now it is whole. */
	world->server->fetches = 0;
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 0);
	g_assert_cmpuint(world_message(world, 1)->bits & MESSAGE_SIZE_EXACT, !=, 0);
	world_free(world);
}

/* As the kernel reads: two requests of 128 KiB at a time. What is under way at `stop` is left. */
static void read_on(struct world *world, uint64_t size, uint64_t stop)
{
	const uint8_t *want = g_bytes_get_data(fake_message_find(world->inbox, 1)->body, NULL);

	for (uint64_t at = 0; at < size && at < stop; at += 256 * KIB) {
		struct reading *first = world_read_begin(world, 1, at, 128 * KIB);
		struct reading *second = world_read_begin(world, 1, at + 128 * KIB, 128 * KIB);

		world_until(reading_is_over, first);
		g_assert_cmpint(first->code, ==, WORLD_OK);
		g_assert_cmpmem(first->bytes->data, first->bytes->len, want + at, MIN(128 * KIB, size - at));
		if (at + 256 * KIB < stop && at + 256 * KIB <= size) {
			world_until(reading_is_over, second);
			g_assert_cmpint(second->code, ==, WORLD_OK);
			g_assert_cmpmem(second->bytes->data, second->bytes->len,
				want + at + 128 * KIB, 128 * KIB);
		} else if (second->answers == 0) {
			engine_cancel(world->engine, second->ticket);
		}
		reading_free(first);
		reading_free(second);
	}
}

static void who_reads_on_finds_the_next_windows_under_way(void)
{
	struct world *world = trusted_with(12 * MIB);

	read_on(world, 12 * MIB, UINT64_MAX);
	world_settle(world);
	g_assert_cmpuint(world->server->bytes_sent, <, 12 * MIB + 14 * 8192);
	g_assert_cmpuint(world->server->ranges, <=, 14);
	world->server->fetches = 0;
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 0);
	world_free(world);
}

static void who_stops_reading_wastes_two_windows_at_most(void)
{
	for (uint64_t stop = 256 * KIB; stop < 3 * MIB; stop += 512 * KIB) {
		struct world *world = trusted_with(12 * MIB);

		read_on(world, 12 * MIB, stop);
		world_settle(world);
		g_assert_cmpuint(world->server->bytes_sent, <, 5 * stop + MIB);
		g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
		world_free(world);
	}
}

static void a_next_window_that_is_lost_is_asked_for_again(void)
{
	for (unsigned skip = 0; skip < 12; skip++) {
		struct world *world = trusted_with(12 * MIB);

		fake_fault(world->server, &(struct fake_fault){
			.point = FAKE_FETCH_MID,
			.skip = skip,
			.times = 1,
			.code = MAILFS_ERROR_CONNECTION_LOST,
			.is_death = true,
		});
		read_on(world, 12 * MIB, UINT64_MAX);
		world_free(world);
	}
}

static void next_windows_may_be_under_way_at_the_end(void)
{
	for (unsigned turns = 0; turns < 30; turns++) {
		struct world *world = trusted_with(12 * MIB);

		read_on(world, 12 * MIB, 512 * KIB);
		world_turns(turns);
		world_free(world);
	}
}

static void windows_in_any_order_make_a_whole(void)
{
	struct world *world = trusted_with(2 * MIB + 77);

	for (unsigned i = 0; i < 33; i++) {
		uint64_t offset = (i * 11 % 33) * 64 * KIB;

		g_assert_cmpint(world_read(world, 1, offset, 64 * KIB, NULL), ==, WORLD_OK);
	}
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world->server->fetches = 0;
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 0);
	world_free(world);
}

static void an_unproven_account_fetches_whole(void)
{
	struct world *world = with_message(3 * MIB);

	read_some_and_leave(world);
	g_assert_cmpuint(world->server->ranges, ==, 0);
	g_assert_cmpuint(world->server->bytes_sent, ==, 3 * MIB);
	world_free(world);
}

static void a_server_without_ranges_is_asked_for_all(void)
{
	struct world *world = with_message(3 * MIB);

	world->server->cannot_range = true;
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	world_earn_trust(world);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->ranges, ==, 0);
	world_free(world);
}

static void reading_at_the_end_gives_nothing(void)
{
	struct world *world = trusted_with(MIB);
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	g_assert_cmpint(world_read(world, 1, MIB, 4096, bytes), ==, WORLD_OK);
	g_assert_cmpint(world_read(world, 1, G_MAXUINT64 - 1, 4096, bytes), ==, WORLD_OK);
	g_assert_cmpint(world_read(world, 1, 5, 0, bytes), ==, WORLD_OK);
	g_assert_cmpuint(bytes->len, ==, 0);
	world_free(world);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void thirty_two_good_sizes_earn_trust(void)
{
	struct world *world = with_message(3 * MIB);

	fake_messages_add(world->inbox, 11, 42, 500);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	for (uint32_t uid = 11; uid <= 42; uid++) {
		g_assert_true(engine_is_unproven(world->engine));
		g_assert_cmpint(world_exact(world, uid), ==, WORLD_OK);
	}
	g_assert_false(engine_is_unproven(world->engine));
	world_settle(world);
	world_restart(world);
	g_assert_false(engine_is_unproven(world->engine));
	world_free(world);
}

static void one_body_proves_once(void)
{
	struct world *world = with_message(100);

	g_assert_cmpint(world_exact(world, 1), ==, WORLD_OK);
	g_assert_cmpint(world_exact(world, 1), ==, WORLD_OK);
	world_settle(world);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(store_get_trust(world->store).proven, ==, 1);
	world_free(world);
}

static void make_exact_corrects_a_size(gconstpointer claim)
{
	struct world *world = world_new();

	fake_message_add(world->inbox, 1, 10000)->claimed = GPOINTER_TO_UINT(claim);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_exact(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world_message(world, 1)->size, ==, 10000);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->messages_changed, ==, 1);
	g_assert_true(engine_is_unproven(world->engine));
	/* For ever, and the right size stays, whatever the server says. */
	world_settle(world);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	world->server->sync_is_full = true;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_message(world, 1)->size, ==, 10000);
	g_assert_true(store_get_trust(world->store).is_liar);
	world_free(world);
}

static void a_read_that_finds_a_wrong_size_fails_alone(gconstpointer claim)
{
	struct world *world = world_new();
	size_t size = 100000;

	fake_message_add(world->inbox, 1, size)->claimed = GPOINTER_TO_UINT(claim);
	world_start(world);
	world_earn_trust(world);
	g_assert_cmpint(world_cat(world, 1), ==, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpuint(world_message(world, 1)->size, ==, size);
	g_assert_true(engine_is_unproven(world->engine));
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_free(world);
}

static bool is_exact(void *user)
{
	return (world_message(user, 1)->bits & MESSAGE_SIZE_EXACT) != 0;
}

static void a_window_that_finds_a_wrong_size_fails_and_corrects_it(gconstpointer claim)
{
	struct world *world = world_new();
	size_t size = 2 * MIB;
	uint64_t claimed = GPOINTER_TO_UINT(claim);
	int code;
	uint64_t at = 0;

	fake_message_add(world->inbox, 1, size)->claimed = claimed;
	world_start(world);
	world_earn_trust(world);
	do {
		code = world_read(world, 1, at, 128 * KIB, NULL);
		at += 128 * KIB;
	} while (code == WORLD_OK && at < claimed);
	g_assert_cmpint(code, ==, MAILFS_ERROR_PROTOCOL);
	g_assert_true(engine_is_unproven(world->engine));
	world_until(is_exact, world);
	g_assert_cmpuint(world_message(world, 1)->size, ==, size);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_free(world);
}

static void forget_bytes(struct world *world, uint32_t uid)
{
	struct answer answer = { 0 };

	engine_keep(world->engine, world_folder(world, "INBOX")->box->id, uid, false, answer_take,
		&answer);
	world_until(answer_is_there, &answer);
	world_settle(world);
}

/* SZ-7: it was read, left the cache, and comes back with another length. */
static void a_version_of_another_length_is_never_cut_or_padded(gconstpointer size)
{
	static const int differences[] = { 1, 5000, -1, -5000 };

	for (size_t i = 0; i < G_N_ELEMENTS(differences); i++) {
		struct world *world = world_new();
		struct fake_message *message =
			fake_message_add(world->inbox, 1, GPOINTER_TO_UINT(size));
		gsize other = g_bytes_get_size(message->body) + (gsize)differences[i];

		world_start(world);
		world_earn_trust(world);
		g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
		forget_bytes(world, 1);
		g_bytes_unref(message->body);
		message->body = g_bytes_new_take(g_strnfill(other, 'y'), other);
		g_assert_cmpint(world_cat(world, 1), ==, MAILFS_ERROR_PROTOCOL);
		world_until(is_exact, world);
		g_assert_cmpuint(world_message(world, 1)->size, ==, other);
		g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
		g_assert_true(engine_is_unproven(world->engine));
		world_free(world);
	}
}

/* ---- what is not there ----------------------------------------------------------------------- */

static void a_message_that_is_gone_is_gone_after_a_sync(void)
{
	struct world *world = with_message(5000);

	fake_message_add(world->inbox, 2, 10);
	fake_message_add(world->inbox, 3, 10);
	fake_message_remove(world->inbox, 1);
	g_assert_cmpint(world_read(world, 1, 0, 10, NULL), ==, MAILFS_ERROR_GONE);
	world_settle(world);
	g_assert_null(world_message(world, 1));
	g_assert_cmpint(world_read(world, 1, 0, 10, NULL), ==, MAILFS_ERROR_STALE);
	world_free(world);
}

static void a_nil_body_is_an_error_and_is_not_kept(void)
{
	struct world *world = with_message(5000);

	fake_message_find(world->inbox, 1)->is_nil = true;
	g_assert_cmpint(world_read(world, 1, 0, 10, NULL), ==, MAILFS_ERROR_PROTOCOL);
	g_assert_nonnull(world_message(world, 1));
	fake_message_find(world->inbox, 1)->is_nil = false;
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_free(world);
}

static void an_empty_body_is_asked_for_twice(void)
{
	struct world *world = with_message(5000);

	fake_message_find(world->inbox, 1)->send_cut = 5000;
	g_assert_cmpint(world_read(world, 1, 0, 10, NULL), ==, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpuint(world->server->fetches, ==, 2);
	g_assert_cmpuint(world_message(world, 1)->size, ==, 5000);
	world_free(world);
}

static void a_true_empty_message_is_empty(void)
{
	struct world *world = with_message(0);

	g_assert_cmpint(world_exact(world, 1), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 1);
	world_free(world);
}

/* ---- accidents ------------------------------------------------------------------------------- */

static void a_session_that_dies_in_a_body_costs_one_more_fetch(gconstpointer point)
{
	for (int is_late = 0; is_late < 2; is_late++) {
		struct world *world = with_message(5 * MIB);

		world->server->is_dead_late = is_late != 0;
		fake_fault(world->server, &(struct fake_fault){ .point = GPOINTER_TO_INT(point), .times = 1,
			.skip = GPOINTER_TO_INT(point) == FAKE_FETCH_MID ? 60 : 0,
			.code = MAILFS_ERROR_CONNECTION_LOST, .is_death = true });
		g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
		g_assert_cmpuint(world->server->fetches, ==, 2);
		world_free(world);
	}
}

static void a_loss_does_not_count_as_a_bad_answer(void)
{
	struct world *world = with_message(5000);

	fake_die(world->server, FAKE_FETCH, MAILFS_ERROR_CONNECTION_LOST);
	fake_fail(world->server, FAKE_FETCH, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 3);
	world_free(world);
}

static void a_session_that_dies_twice_leaves_no_half_body(void)
{
	struct world *world = with_message(5 * MIB);

	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_FETCH_MID, .times = 1,
		.skip = 60, .code = MAILFS_ERROR_CONNECTION_LOST, .is_death = true });
	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_FETCH_END, .times = 1,
		.code = MAILFS_ERROR_CONNECTION_LOST, .is_death = true });
	g_assert_cmpint(world_read(world, 1, 0, 4096, NULL), ==, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	world_stop(world);
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_read(world, 1, 0, 4096, NULL), ==, MAILFS_ERROR_OFFLINE);
	world_free(world);
}

static void no_reader_sees_a_body_before_its_end(void)
{
	struct world *world = with_message(8 * MIB);
	struct reading *first = world_read_begin(world, 1, 0, 4096);
	struct reading *late;

	while (world->server->bytes_sent < 6 * MIB)
		world_turns(1);
	late = world_read_begin(world, 1, 0, 4096);
	world_turns(5);
	g_assert_cmpuint(first->answers + late->answers, ==, 0);
	world_until(reading_is_over, late);
	world_until(reading_is_over, first);
	g_assert_cmpint(first->code, ==, WORLD_OK);
	g_assert_cmpint(late->code, ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 1);
	reading_free(first);
	reading_free(late);
	world_free(world);
}

static void ranges_that_differ_are_never_joined(void)
{
	struct world *world = trusted_with(4 * MIB);

	fake_message_find(world->inbox, 1)->is_restless = true;
	g_assert_cmpint(world_read(world, 1, 0, 128 * KIB, NULL), ==, WORLD_OK);
	g_assert_cmpint(world_read(world, 1, 128 * KIB, 128 * KIB, NULL), ==, MAILFS_ERROR_PROTOCOL);
	g_assert_cmpuint(world->bytes_changed, ==, 1);
	g_assert_true(store_get_trust(world->store).is_range_unstable);
	world->server->ranges = 0;
	g_assert_cmpint(world_read(world, 1, 0, 128 * KIB, NULL), ==, WORLD_OK);
	g_assert_cmpint(world_read(world, 1, 3 * MIB, 128 * KIB, NULL), ==, WORLD_OK);
	g_assert_cmpuint(world->server->ranges, ==, 0);
	world_free(world);
}

static void damage(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);
		g_autofree char *text = NULL;
		gsize len;

		if (g_file_test(child, G_FILE_TEST_IS_DIR)) {
			damage(child);
			continue;
		}
		g_assert_true(g_file_get_contents(child, &text, &len, NULL));
		text[len / 2] ^= 1;
		g_assert_true(g_file_set_contents(child, text, (gssize)len, NULL));
	}
	if (dir)
		g_dir_close(dir);
}

static void damage_on_disk_is_fetched_again(void)
{
	struct world *world = with_message(5000);
	g_autofree char *bodies = g_build_filename(world->dir, "bodies", NULL);

	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_settle(world);
	world_stop(world);
	damage(bodies);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 2);
	world_free(world);
}

static void offline_uncached_reads_fail_and_cached_ones_go_on(void)
{
	struct world *world = with_message(5000);

	fake_message_add(world->inbox, 2, 100);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world->server->is_down = true;
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_settle(world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_OFFLINE);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpint(world_read(world, 2, 0, 10, NULL), ==, MAILFS_ERROR_OFFLINE);
	world->server->is_down = false;
	g_assert_cmpint(world_refresh(world, NULL), ==, WORLD_OK);
	g_assert_cmpint(world_cat(world, 2), ==, WORLD_OK);
	world_free(world);
}

static void a_stale_uidvalidity_is_found_out(void)
{
	struct world *world = with_message(5000);

	fake_folder_clear(world->inbox, 9);
	fake_message_add(world->inbox, 1, 77);
	g_assert_cmpint(world_read(world, 1, 0, 10, NULL), ==, MAILFS_ERROR_STALE);
	world_settle(world);
	g_assert_cmpuint(world->boxes_gone, ==, 1);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_free(world);
}

static bool is_not_held(void *user)
{
	return !fake_is_held(((struct world *)user)->server);
}

static void bytes_on_their_way_to_the_disk_hold_the_network(void)
{
	struct world *world = with_message(80 * MIB);

	world->server->chunk = 40 * MIB;
	g_assert_cmpint(world_exact(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->holds, >=, 1);
	world_until(is_not_held, world);
	g_assert_cmpint(world_read(world, 1, 79 * MIB, 4096, NULL), ==, WORLD_OK);
	world_free(world);
}

/* ---- cancel, stop ---------------------------------------------------------------------------- */

static void a_cancelled_read_is_not_answered(void)
{
	for (unsigned turns = 0; turns < 25; turns++) {
		struct world *world = with_message(300 * KIB);
		struct reading *reading = world_read_begin(world, 1, 0, 10);
		struct reading *other = world_read_begin(world, 1, 5, 10);
		bool was_over;

		world_turns(turns);
		was_over = reading_is_over(reading);
		engine_cancel(world->engine, reading->ticket);
		world_until(reading_is_over, other);
		world_settle(world);
		g_assert_cmpuint(reading->answers, ==, was_over ? 1 : 0);
		g_assert_cmpint(other->code, ==, WORLD_OK);
		reading_free(reading);
		reading_free(other);
		world_free(world);
	}
}

static void what_was_not_sent_is_not_fetched_when_cancelled(void)
{
	struct world *world = with_message(5000);
	struct reading *reading;

	world->server->is_stalled = true;
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_turns(20);
	reading = world_read_begin(world, 1, 0, 10);
	world_settle(world);
	engine_cancel(world->engine, reading->ticket);
	world->server->is_stalled = false;
	world_settle(world);
	g_assert_cmpuint(world->server->fetches, ==, 0);
	reading_free(reading);
	world_free(world);
}

static void what_was_sent_ends_in_the_cache_when_cancelled(void)
{
	struct world *world = with_message(5000);
	struct reading *reading;

	world->server->is_stalled = true;
	reading = world_read_begin(world, 1, 0, 10);
	world_settle(world);
	g_assert_cmpuint(world->server->fetches, ==, 1);
	engine_cancel(world->engine, reading->ticket);
	world->server->is_stalled = false;
	world_settle(world);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	g_assert_cmpuint(world->server->fetches, ==, 1);
	reading_free(reading);
	world_free(world);
}

static void stopping_at_any_turn_answers_once(void)
{
	for (unsigned turns = 0; turns < 40; turns++) {
		struct world *world = with_message(300 * KIB);
		struct reading *reading;

		world_settle(world);
		reading = world_read_begin(world, 1, 0, 10);
		world_turns(turns);
		world_stop(world);
		g_assert_cmpuint(reading->answers, ==, 1);
		reading_free(reading);
		world_free(world);
	}
}

static void stopping_while_the_disk_is_asked_answers_once(void)
{
	for (unsigned turns = 0; turns < 8; turns++) {
		struct world *world = with_message(300 * KIB);
		struct reading *reading;

		g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
		world_settle(world);
		world_restart(world);
		g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
		reading = world_read_begin(world, 1, 0, 10);
		world_turns(turns);
		world_stop(world);
		g_assert_cmpuint(reading->answers, ==, 1);
		reading_free(reading);
		world_free(world);
	}
}

static void freeing_without_stopping_answers_nobody(void)
{
	for (unsigned turns = 0; turns < 30; turns += 2) {
		struct world *world = with_message(300 * KIB);
		struct reading *reading = world_read_begin(world, 1, 0, 10);
		unsigned before;

		world_turns(turns);
		before = reading->answers;
		engine_free(world->engine);
		world->engine = NULL;
		world_settle(world);
		g_assert_cmpuint(reading->answers, ==, before);
		reading_free(reading);
		world_free(world);
	}
}

static void on_held(void *user, const struct body_slice *slice, const GError *error)
{
	g_assert_no_error(error);
	*(size_t *)user += slice->len;
}

static void an_expunged_message_that_is_held_can_be_read(void)
{
	struct world *world = with_message(5000);
	uint32_t box_id = world_folder(world, "INBOX")->box->id;
	struct body *held;
	size_t got = 0;

	fake_messages_add(world->inbox, 2, 5, 100);
	g_assert_cmpint(world_cat(world, 1), ==, WORLD_OK);
	world_settle(world);
	held = engine_hold(world->engine, box_id, 1);
	fake_message_remove(world->inbox, 1);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_null(world_message(world, 1));
	g_assert_cmpuint(engine_held_size(held), ==, 5000);
	engine_read_held(world->engine, held, (struct mailfs_range){ 1000, 4000 }, on_held, &got);
	world_settle(world);
	g_assert_cmpuint(got, ==, 4000);
	engine_release(world->engine, held);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define T(path, fn) g_test_add_func("/engine/fetcher/" path, fn)
#define D(path, data, fn) g_test_add_data_func("/engine/fetcher/" path, data, fn)
	T("saved", what_the_cache_spares_is_counted);
	T("30 readers, one fetch", thirty_readers_cause_one_fetch);
	T("cached after a remount", what_was_read_is_in_the_cache_after_a_remount);
	T("the head of a large message", the_head_of_a_large_message_costs_little);
	T("windows grow", a_large_message_comes_by_growing_windows);
	T("next windows", who_reads_on_finds_the_next_windows_under_way);
	T("next windows, waste", who_stops_reading_wastes_two_windows_at_most);
	T("next windows, lost", a_next_window_that_is_lost_is_asked_for_again);
	T("next windows, end", next_windows_may_be_under_way_at_the_end);
	T("windows in any order", windows_in_any_order_make_a_whole);
	T("unproven is whole", an_unproven_account_fetches_whole);
	T("no ranges", a_server_without_ranges_is_asked_for_all);
	T("the end", reading_at_the_end_gives_nothing);
	T("SZ-1 trust is earned", thirty_two_good_sizes_earn_trust);
	T("SZ-1 one body proves once", one_body_proves_once);
	D("SZ-1 exact, too big", GUINT_TO_POINTER(10500), make_exact_corrects_a_size);
	D("SZ-1 exact, too small", GUINT_TO_POINTER(9500), make_exact_corrects_a_size);
	D("SZ-1 exact, zero", GUINT_TO_POINTER(0), make_exact_corrects_a_size);
	D("SZ-1 read, too big", GUINT_TO_POINTER(100500), a_read_that_finds_a_wrong_size_fails_alone);
	D("SZ-1 read, too small", GUINT_TO_POINTER(99500), a_read_that_finds_a_wrong_size_fails_alone);
	D("SZ-1 window, too big", GUINT_TO_POINTER(2 * MIB + 500),
		a_window_that_finds_a_wrong_size_fails_and_corrects_it);
	D("SZ-1 window, too small", GUINT_TO_POINTER(2 * MIB - 500),
		a_window_that_finds_a_wrong_size_fails_and_corrects_it);
	D("SZ-7 other length, small", GUINT_TO_POINTER(100000),
		a_version_of_another_length_is_never_cut_or_padded);
	D("SZ-7 other length, large", GUINT_TO_POINTER(2 * MIB),
		a_version_of_another_length_is_never_cut_or_padded);
	T("SZ-2 gone", a_message_that_is_gone_is_gone_after_a_sync);
	T("SZ-3 NIL", a_nil_body_is_an_error_and_is_not_kept);
	T("SZ-3 empty", an_empty_body_is_asked_for_twice);
	T("SZ-3 truly empty", a_true_empty_message_is_empty);
	D("SZ-6 death before", GINT_TO_POINTER(FAKE_FETCH),
		a_session_that_dies_in_a_body_costs_one_more_fetch);
	D("SZ-6 death in the middle", GINT_TO_POINTER(FAKE_FETCH_MID),
		a_session_that_dies_in_a_body_costs_one_more_fetch);
	D("SZ-6 death at the end", GINT_TO_POINTER(FAKE_FETCH_END),
		a_session_that_dies_in_a_body_costs_one_more_fetch);
	T("SZ-6 a loss and a bad answer", a_loss_does_not_count_as_a_bad_answer);
	T("SZ-6 no half body", a_session_that_dies_twice_leaves_no_half_body);
	T("SZ-6 nothing before the end", no_reader_sees_a_body_before_its_end);
	T("SZ-7 ranges differ", ranges_that_differ_are_never_joined);
	T("damage", damage_on_disk_is_fetched_again);
	T("offline", offline_uncached_reads_fail_and_cached_ones_go_on);
	T("ID-1 stale", a_stale_uidvalidity_is_found_out);
	T("back pressure", bytes_on_their_way_to_the_disk_hold_the_network);
	T("cancel at any turn", a_cancelled_read_is_not_answered);
	T("cancel unsent", what_was_not_sent_is_not_fetched_when_cancelled);
	T("cancel sent", what_was_sent_ends_in_the_cache_when_cancelled);
	T("stop at any turn", stopping_at_any_turn_answers_once);
	T("stop while the disk is asked", stopping_while_the_disk_is_asked_answers_once);
	T("free at any turn", freeing_without_stopping_answers_nobody);
	T("expunged while held", an_expunged_message_that_is_held_can_be_read);
	return g_test_run();
}
