/* SPDX-License-Identifier: MIT */
/* Flags that the user changes: what is shown, what is sent, and what becomes of accidents. */
#include "engine_world.h"

#include "engine/internal.h"

static struct world *opened(uint32_t last)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, last, 100);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static void count_item(void *user, const struct engine_pending *item)
{
	++*(unsigned *)user;
}

static unsigned pending(struct world *world)
{
	unsigned count = 0;

	changer_each(world->engine->changer, count_item, &count);
	return count;
}

static bool is_idle(void *user)
{
	struct world *world = user;

	return world->engine && pending(world) == 0 && changer_flush(world->engine->changer);
}

static int change(struct world *world, uint32_t uid, const struct engine_flag_change *wanted)
{
	struct answer answer = { 0 };

	engine_change_flags(world->engine, world_folder(world, "INBOX")->box->id, uid, wanted,
		answer_take, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpuint(answer.count, ==, 1);
	return answer.code;
}

static int add(struct world *world, uint32_t uid, unsigned flags)
{
	return change(world, uid, &(struct engine_flag_change){ .add = flags });
}

static int tag(struct world *world, uint32_t uid, const char *keyword)
{
	const char *const list[] = { keyword, NULL };

	return change(world, uid, &(struct engine_flag_change){ .add_keywords = list });
}

static unsigned served(struct world *world, uint32_t uid)
{
	return fake_message_find(world->inbox, uid)->flags;
}

/* ---- the plain case -------------------------------------------------------------------------- */

static void a_change_is_shown_before_it_is_answered(void)
{
	struct world *world = opened(3);
	struct answer answer = { 0 };
	int64_t ctime = world_message(world, 2)->ctime_ns;

	engine_change_flags(world->engine, world_folder(world, "INBOX")->box->id, 2,
		&(struct engine_flag_change){ .add = MAILFS_FLAG_FLAGGED }, answer_take, &answer);
	g_assert_cmpuint(answer.count, ==, 0);
	g_assert_cmpuint(world->messages_changed, ==, 1);
	g_assert_cmpuint(world_message(world, 2)->flags, ==, MAILFS_FLAG_FLAGGED);
	g_assert_cmpint(world_message(world, 2)->ctime_ns, >, ctime);
	world_until(answer_is_there, &answer);
	g_assert_cmpint(answer.code, ==, WORLD_OK);
	g_assert_cmpuint(world->server->stores, ==, 0);
	world_until(is_idle, world);
	g_assert_cmpuint(served(world, 2), ==, MAILFS_FLAG_FLAGGED);
	g_assert_cmpuint(world->server->stores, ==, 1);
	world_free(world);
}

static void a_whole_set_is_sent_as_what_differs(void)
{
	const char *const words[] = { "work", "new", NULL };
	struct world *world = opened(3);

	fake_message_flag(world->inbox, 1, MAILFS_FLAG_SEEN | MAILFS_FLAG_ANSWERED);
	fake_message_tag(world->inbox, 1, "old Work");
	world_refresh(world, "INBOX");
	g_assert_cmpint(change(world, 1, &(struct engine_flag_change){
		.is_replacement = true,
		.add = MAILFS_FLAG_SEEN | MAILFS_FLAG_DRAFT,
		.add_keywords = words,
	}), ==, WORLD_OK);
	/* Somebody else has added a flag meanwhile: it is none that was to go. */
	fake_message_flag(world->inbox, 1, served(world, 1) | MAILFS_FLAG_FLAGGED);
	world_until(is_idle, world);
	g_assert_cmpuint(served(world, 1), ==,
		MAILFS_FLAG_SEEN | MAILFS_FLAG_DRAFT | MAILFS_FLAG_FLAGGED);
	g_assert_cmpstr(fake_message_find(world->inbox, 1)->keywords, ==, "Work new");
	world_free(world);
}

static void what_is_so_already_asks_nobody(void)
{
	struct world *world = opened(3);

	g_assert_cmpint(change(world, 1, &(struct engine_flag_change){ .is_replacement = true }), ==,
		WORLD_OK);
	world_until(is_idle, world);
	g_assert_cmpuint(world->server->stores, ==, 0);
	world_free(world);
}

static void wishes_for_one_message_become_one(void)
{
	struct world *world = opened(3);

	g_assert_cmpint(add(world, 1, MAILFS_FLAG_SEEN), ==, WORLD_OK);
	g_assert_cmpint(tag(world, 1, "a"), ==, WORLD_OK);
	g_assert_cmpint(change(world, 1, &(struct engine_flag_change){ .remove = MAILFS_FLAG_SEEN }), ==,
		WORLD_OK);
	world_until(is_idle, world);
	g_assert_cmpuint(served(world, 1), ==, 0);
	g_assert_cmpstr(fake_message_find(world->inbox, 1)->keywords, ==, "a");
	g_assert_cmpuint(world_message(world, 1)->flags, ==, 0);
	g_assert_cmpuint(world->server->stores, <=, 3);
	world_free(world);
}

struct many {
	struct world *world;
	unsigned answered;
};

static void on_one_of_many(void *user, const GError *error)
{
	g_assert_no_error(error);
	((struct many *)user)->answered++;
}

static bool all_answered(void *user)
{
	return ((struct many *)user)->answered == 10000;
}

static void ten_thousand_changes_are_few_stores(void)
{
	struct world *world = opened(10000);
	struct many many = { .world = world };
	uint32_t box = world_folder(world, "INBOX")->box->id;

	for (uint32_t uid = 1; uid <= 10000; uid++) {
		engine_change_flags(world->engine, box, uid,
			&(struct engine_flag_change){ .add = MAILFS_FLAG_FLAGGED }, on_one_of_many, &many);
		if (uid % 16 == 0)
			world_turns(1);
	}
	world_until(all_answered, &many);
	world_until(is_idle, world);
	for (uint32_t uid = 1; uid <= 10000; uid++)
		g_assert_cmpuint(served(world, uid), ==, MAILFS_FLAG_FLAGGED);
	/* 7 bytes a UID at the most, 900 a command: a batch of 1,000 is up to 8. */
	g_assert_cmpuint(world->server->stores, <=, 100);
	g_assert_cmpuint(world->server->stores + 10000 * 6 / 900, <=, 200);
	g_assert_cmpuint(world->server->changed_uids, ==, 10000);
	world_free(world);
}

static void seen_by_reading_is_asked_once(void)
{
	struct world *world = opened(3);
	uint32_t box = world_folder(world, "INBOX")->box->id;

	engine_mark_read(world->engine, box, 2);
	engine_mark_read(world->engine, box, 2);
	engine_mark_read(world->engine, box, 77);
	world_until(is_idle, world);
	g_assert_cmpuint(served(world, 2), ==, MAILFS_FLAG_SEEN);
	g_assert_cmpuint(world->server->stores, ==, 1);
	world_free(world);
}

/* ---- what may not be ------------------------------------------------------------------------- */

static void what_is_not_an_atom_is_invalid(void)
{
	static const char *const bad[] = { "", "a b", "a)", "{3}", "a]b", "a\r\nb", "\\Seen", "\xc3\xa4",
		"a\"", "%", "*", "a(", "a\\" };
	struct world *world = opened(1);
	g_autofree char *longer = g_strnfill(65, 'a');
	g_autofree char *longest = g_strnfill(64, 'a');

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(tag(world, 1, bad[i]), ==, MAILFS_ERROR_INVALID);
	g_assert_cmpint(tag(world, 1, longer), ==, MAILFS_ERROR_INVALID);
	g_assert_cmpint(tag(world, 1, longest), ==, WORLD_OK);
	world_free(world);
}

static void a_hundred_keywords_are_enough(void)
{
	struct world *world = opened(1);

	for (unsigned i = 0; i < 100; i++) {
		g_autofree char *word = g_strdup_printf("k%u", i);

		g_assert_cmpint(tag(world, 1, word), ==, WORLD_OK);
	}
	g_assert_cmpint(tag(world, 1, "more"), ==, MAILFS_ERROR_INVALID);
	world_free(world);
}

static void what_the_server_does_not_keep_is_not_possible(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 2, 100);
	world->inbox->permanent_flags = MAILFS_FLAG_SEEN;
	world->inbox->keywords_refused = true;
	world_start(world);
	world_open(world, "INBOX");
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_FLAGGED), ==, MAILFS_ERROR_NOT_POSSIBLE);
	g_assert_cmpint(tag(world, 1, "work"), ==, MAILFS_ERROR_NOT_POSSIBLE);
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_SEEN), ==, WORLD_OK);
	world_free(world);
}

static void rights_are_for_each_kind_of_flag(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 2, 100);
	world->inbox->rights = MAILFS_RIGHT_SEEN;
	world_start(world);
	world_open(world, "INBOX");
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_SEEN), ==, WORLD_OK);
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_FLAGGED), ==, MAILFS_ERROR_DENIED);
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_DELETED), ==, MAILFS_ERROR_DENIED);
	g_assert_cmpint(tag(world, 1, "a"), ==, MAILFS_ERROR_DENIED);
	world_free(world);
}

static void a_folder_without_rights_is_read_only(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 2, 100);
	world->inbox->is_read_only = true;
	world_start(world);
	world_open(world, "INBOX");
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_SEEN), ==, MAILFS_ERROR_READ_ONLY);
	g_assert_cmpuint(engine_rights(world->engine, world_folder(world, "INBOX")), ==, 0);
	world_free(world);
}

static void a_read_only_mount_changes_nothing(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 2, 100);
	world->is_read_only = true;
	world_start(world);
	world_open(world, "INBOX");
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_SEEN), ==, MAILFS_ERROR_READ_ONLY);
	g_assert_cmpuint(world->server->stores, ==, 0);
	world_free(world);
}

static void no_such_message_is_gone(void)
{
	struct world *world = opened(1);

	g_assert_cmpint(add(world, 9, MAILFS_FLAG_SEEN), ==, MAILFS_ERROR_GONE);
	world_free(world);
}

/* ---- what the server makes of it ------------------------------------------------------------- */

static void a_refusal_undoes_it(void)
{
	struct world *world = opened(2);

	fake_fail(world->server, FAKE_STORE, MAILFS_ERROR_DENIED);
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
	world_until(is_idle, world);
	g_assert_cmpuint(world_message(world, 1)->flags, ==, 0);
	g_assert_true(world_has_reason(world, "undone"));
	g_assert_cmpuint(world->server->stores, ==, 1);
	world_free(world);
}

static void what_the_server_does_not_do_is_undone(void) /* FL-1 */
{
	struct world *world = opened(2);

	world->inbox->forgets_flags = true;
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
	world_until(is_idle, world);
	g_assert_cmpuint(world_message(world, 1)->flags, ==, 0);
	g_assert_true(world_has_reason(world, "did not keep"));
	world_free(world);
}

static void with_flags_sync_the_server_answers(void)
{
	struct world *world = world_new();

	fake_messages_add(world->inbox, 1, 2, 100);
	world->is_flags_sync = true;
	world_start(world);
	world_open(world, "INBOX");
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_SEEN), ==, WORLD_OK);
	g_assert_cmpuint(served(world, 1), ==, MAILFS_FLAG_SEEN);
	world->inbox->forgets_flags = true;
	g_assert_cmpint(add(world, 1, MAILFS_FLAG_FLAGGED), ==, MAILFS_ERROR_PROTOCOL);
	fake_fail(world->server, FAKE_STORE, MAILFS_ERROR_DENIED);
	g_assert_cmpint(add(world, 2, MAILFS_FLAG_FLAGGED), ==, MAILFS_ERROR_DENIED);
	g_assert_cmpuint(world_message(world, 2)->flags, ==, 0);
	world_free(world);
}

static void a_lost_connection_is_no_loss(void)
{
	static const enum fake_point points[] = { FAKE_STORE, FAKE_STORE_END };

	for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
		struct world *world = opened(3);

		world->connections = 1;
		fake_die(world->server, points[i], MAILFS_ERROR_CONNECTION_LOST);
		g_assert_cmpint(add(world, 2, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
		world_until(is_idle, world);
		g_assert_cmpuint(served(world, 2), ==, MAILFS_FLAG_FLAGGED);
		g_assert_cmpuint(world_message(world, 2)->flags, ==, MAILFS_FLAG_FLAGGED);
		g_assert_cmpuint(world->server->stores, ==, 2);
		world_free(world);
	}
}

static bool was_stored(void *user)
{
	return ((struct world *)user)->server->stores > 0;
}

static void a_dead_process_sends_it_when_it_is_back(void)
{
	for (unsigned when = 0; when < 3; when++) {
		struct world *world = opened(3);

		g_assert_cmpint(add(world, 2, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
		if (when > 0) { /* on its way; or done, and the process has not heard of it */
			world->server->is_stalled = when == 1;
			world_until(was_stored, world);
		}
		world_crash(world);
		world->server->is_stalled = false;
		world_start(world);
		world_until(is_idle, world);
		g_assert_cmpuint(served(world, 2), ==, MAILFS_FLAG_FLAGGED);
		world_free(world);
	}
}

static void what_waits_is_shown_after_a_restart_without_network(void)
{
	struct world *world = opened(3);

	g_assert_cmpint(add(world, 2, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
	world_crash(world);
	world->server->is_down = true;
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_message(world, 2)->flags, ==, MAILFS_FLAG_FLAGGED);
	g_assert_cmpuint(pending(world), ==, 1);
	world_free(world);
}

/* The index has never heard of what was refused. */
static void a_refusal_after_a_restart_undoes_it(void)
{
	struct world *world = opened(3);

	g_assert_cmpint(add(world, 2, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
	world_crash(world);
	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_STORE, .code = MAILFS_ERROR_DENIED });
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	world_until(is_idle, world);
	g_assert_cmpuint(world_message(world, 2)->flags, ==, 0);
	world_free(world);
}

/* ---- others change things too ---------------------------------------------------------------- */

static void flags_of_others_come_under_the_wish(void)
{
	struct world *world = opened(3);

	g_assert_cmpint(add(world, 2, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
	world->server->is_stalled = true;
	fake_message_flag(world->inbox, 2, MAILFS_FLAG_SEEN);
	world->server->is_stalled = false;
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_message(world, 2)->flags, ==, MAILFS_FLAG_SEEN | MAILFS_FLAG_FLAGGED);
	world_until(is_idle, world);
	g_assert_cmpuint(served(world, 2), ==, MAILFS_FLAG_SEEN | MAILFS_FLAG_FLAGGED);
	g_assert_cmpuint(world_message(world, 2)->flags, ==, MAILFS_FLAG_SEEN | MAILFS_FLAG_FLAGGED);
	world_free(world);
}

/* Two clients, each with flags of its own, take turns at random; all of them are kept. */
static void two_clients_converge(void)
{
	struct world *world = opened(50);
	unsigned want[51] = { 0 };
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);

	for (unsigned i = 0; i < 600; i++) {
		uint32_t uid = (uint32_t)g_rand_int_range(rand, 1, 51);
		unsigned mine = g_rand_boolean(rand) ? MAILFS_FLAG_FLAGGED : MAILFS_FLAG_SEEN;
		unsigned now = served(world, uid);

		want[uid] ^= mine;
		g_assert_cmpint(change(world, uid, &(struct engine_flag_change){
			.add = want[uid] & mine, .remove = mine & ~want[uid] }), ==, WORLD_OK);
		uid = (uint32_t)g_rand_int_range(rand, 1, 51);
		now = served(world, uid);
		want[uid] ^= MAILFS_FLAG_ANSWERED;
		fake_message_flag(world->inbox, uid, now ^ MAILFS_FLAG_ANSWERED);
		if (i % 50 == 0)
			world_refresh(world, "INBOX");
	}
	world_until(is_idle, world);
	world_refresh(world, "INBOX");
	for (uint32_t uid = 1; uid <= 50; uid++) {
		g_assert_cmpuint(served(world, uid), ==, want[uid]);
		g_assert_cmpuint(world_message(world, uid)->flags, ==, want[uid]);
	}
	world_free(world);
}

static void a_message_that_others_expunge_is_let_go(void)
{
	struct world *world = opened(3);

	g_assert_cmpint(add(world, 2, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
	fake_message_remove(world->inbox, 2);
	world_until(is_idle, world);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 2);
	world_free(world);
}

static void a_new_uidvalidity_drops_what_waits(void) /* ID-1 */
{
	for (unsigned restart = 0; restart < 2; restart++) {
		struct world *world = opened(3);

		g_assert_cmpint(add(world, 2, MAILFS_FLAG_FLAGGED), ==, WORLD_OK);
		if (restart)
			world_crash(world);
		fake_folder_clear(world->inbox, 8);
		fake_messages_add(world->inbox, 1, 3, 100);
		if (restart)
			world_start(world);
		g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
		world_refresh(world, "INBOX");
		world_until(is_idle, world);
		g_assert_cmpuint(served(world, 2), ==, 0);
		g_assert_cmpuint(world_message(world, 2)->flags, ==, 0);
		g_assert_true(world_has_reason(world, "dropped"));
		world_free(world);
	}
}

static void an_end_with_changes_under_way_is_clean(void)
{
	struct world *world = opened(3);
	struct answer answer = { 0 };
	uint32_t box = world_folder(world, "INBOX")->box->id;

	engine_change_flags(world->engine, box, 1,
		&(struct engine_flag_change){ .add = MAILFS_FLAG_SEEN }, answer_take, &answer);
	engine_cancel(world->engine, engine_change_flags(world->engine, box, 2,
		&(struct engine_flag_change){ .add = MAILFS_FLAG_SEEN }, answer_take, &answer));
	world_crash(world);
	g_assert_cmpuint(answer.count, ==, 0);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, name) g_test_add_func("/engine/changer/" path, name)
	ADD("shown first", a_change_is_shown_before_it_is_answered);
	ADD("replacement", a_whole_set_is_sent_as_what_differs);
	ADD("no change", what_is_so_already_asks_nobody);
	ADD("merged", wishes_for_one_message_become_one);
	ADD("ten thousand", ten_thousand_changes_are_few_stores);
	ADD("read", seen_by_reading_is_asked_once);
	ADD("FL-2 atoms", what_is_not_an_atom_is_invalid);
	ADD("FL-2 a hundred", a_hundred_keywords_are_enough);
	ADD("FL-1 PERMANENTFLAGS", what_the_server_does_not_keep_is_not_possible);
	ADD("FL-5 rights", rights_are_for_each_kind_of_flag);
	ADD("FL-5 read-only folder", a_folder_without_rights_is_read_only);
	ADD("read-only mount", a_read_only_mount_changes_nothing);
	ADD("gone", no_such_message_is_gone);
	ADD("refused", a_refusal_undoes_it);
	ADD("FL-1 not kept", what_the_server_does_not_do_is_undone);
	ADD("sync", with_flags_sync_the_server_answers);
	ADD("connection lost", a_lost_connection_is_no_loss);
	ADD("crash", a_dead_process_sends_it_when_it_is_back);
	ADD("restart offline", what_waits_is_shown_after_a_restart_without_network);
	ADD("refused after a restart", a_refusal_after_a_restart_undoes_it);
	ADD("others", flags_of_others_come_under_the_wish);
	ADD("two clients", two_clients_converge);
	ADD("expunged", a_message_that_others_expunge_is_let_go);
	ADD("ID-1 UIDVALIDITY", a_new_uidvalidity_drops_what_waits);
	ADD("end", an_end_with_changes_under_way_is_clean);
	return g_test_run();
}
