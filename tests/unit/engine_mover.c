/* SPDX-License-Identifier: MIT */
/* Messages that move or go: every accident, before and after the server acted, none is ever lost. */
#include "engine_world.h"

#include "engine/mover_impl.h"

static struct fake_folder *archive; /* of the world at hand */

static struct world *made(void)
{
	struct world *world = world_new();

	archive = fake_folder_add(world->server, "Archive", 20);
	fake_folder_add(world->server, "Bin", 30)->role = "\\Trash";
	fake_messages_add(archive, 1, 3, 50);
	world->server->has_move = true;
	return world;
}

static void begin(struct world *world)
{
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "Archive"), ==, WORLD_OK);
}

/* Without names the index knows no header. */
static struct world *opened_with(uint32_t last, bool want_names)
{
	struct world *world = made();

	fake_messages_add(world->inbox, 1, last, 100);
	world->want_names = want_names;
	begin(world);
	return world;
}

static struct world *opened(uint32_t last)
{
	return opened_with(last, true);
}

static uint32_t box(struct world *world)
{
	return world_folder(world, "INBOX")->box->id;
}

static void ask_move(struct world *world, uint32_t uid, const char *name, struct answer *answer)
{
	engine_move(world->engine, box(world), uid, world_folder(world, "Archive"), name, answer_take,
		answer);
}

static int move(struct world *world, uint32_t uid, const char *name)
{
	struct answer answer = { 0 };

	ask_move(world, uid, name, &answer);
	world_until(answer_is_there, &answer);
	return answer.code;
}

static int delete(struct world *world, uint32_t uid)
{
	struct answer answer = { 0 };

	engine_delete(world->engine, box(world), uid, answer_take, &answer);
	world_until(answer_is_there, &answer);
	return answer.code;
}

static int settle(struct world *world, const char *path)
{
	struct answer answer = { 0 };

	engine_settle(world->engine, world_folder(world, path), answer_take, &answer);
	world_until(answer_is_there, &answer);
	return answer.code;
}

static void count_item(void *user, const struct engine_pending *item)
{
	++*(unsigned *)user;
}

static bool is_idle(void *user)
{
	struct world *world = user;
	unsigned count = 0;

	mover_each(world->engine->mover, count_item, &count);
	return count == 0 && mover_flush(world->engine->mover);
}

/* Of the message that was born with this UID in INBOX. */
static unsigned copies(struct world *world, const char *folder, uint32_t uid)
{
	struct fake_folder *at = fake_folder_find(world->server, folder);
	g_autofree char *subject = g_strdup_printf("subject %u", uid);
	unsigned count = 0;

	for (guint i = 0; i < at->messages->len; i++) {
		const struct fake_message *message = g_ptr_array_index(at->messages, i);

		count += g_str_equal(message->subject, subject) && message->claimed == 100;
	}
	return count;
}

static uint32_t shown(struct world *world, const char *path)
{
	return mailbox_count(world_folder(world, path)->box);
}

static bool has_name(struct world *world, const char *name)
{
	return engine_given_uid(world->engine, world_folder(world, "Archive")->box->id, name) != 0;
}

/* ---- the plain case -------------------------------------------------------------------------- */

static void a_message_moves_under_its_name(void)
{
	for (unsigned hidden = 0; hidden < 2; hidden++) {
		struct world *world = opened(5);
		uint32_t id;

		world->server->hides_copies = hidden;
		g_assert_cmpint(move(world, 2, "mine.eml"), ==, WORLD_OK);
		g_assert_cmpuint(copies(world, "INBOX", 2), ==, 0);
		g_assert_cmpuint(copies(world, "Archive", 2), ==, 1);
		g_assert_cmpuint(world_count(world), ==, 4);
		g_assert_cmpuint(shown(world, "Archive"), ==, 4);
		g_assert_cmpuint(world->messages_gone, ==, 1);
		id = world_folder(world, "Archive")->box->id;
		g_assert_cmpuint(engine_given_uid(world->engine, id, "mine.eml"), ==, 4);
		world_stop(world);
		begin(world);
		g_assert_cmpstr(engine_given_name(world->engine, id, 4), ==, "mine.eml");
		g_assert_cmpuint(world_count(world), ==, 4);
		world_free(world);
	}
}

static void a_move_within_a_folder_is_a_name(void)
{
	struct world *world = opened(5);
	struct answer answer = { 0 };

	engine_move(world->engine, box(world), 2, world_folder(world, "INBOX"), "x.eml", answer_take,
		&answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpint(answer.code, ==, WORLD_OK);
	g_assert_cmpuint(world->server->moves, ==, 0);
	g_assert_cmpuint(engine_given_uid(world->engine, box(world), "x.eml"), ==, 2);
	world_free(world);
}

/* What STATUS said of it before is not true any more. */
static void a_folder_that_nobody_looked_at_shows_what_came(void)
{
	struct world *world = opened(5);

	world_stop(world);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(move(world, 2, "n.eml"), ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "Archive"), ==, WORLD_OK);
	g_assert_cmpuint(shown(world, "Archive"), ==, 4);
	g_assert_true(has_name(world, "n.eml"));
	world_free(world);
}

static void a_thousand_move_in_few_commands(void)
{
	struct world *world = opened(1200);

	for (uint32_t uid = 1; uid <= 1000; uid++)
		g_assert_cmpint(move(world, uid, NULL), ==, WORLD_OK);
	g_assert_cmpint(settle(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(archive->messages->len, ==, 1003);
	g_assert_cmpuint(world->inbox->messages->len, ==, 200);
	g_assert_cmpuint(world->server->moves, <=, 10);
	g_assert_cmpuint(world->server->changed_uids, ==, 1000);
	world_until(is_idle, world);
	g_assert_cmpuint(world_count(world), ==, 200);
	world_free(world);
}

static void each_is_confirmed_if_that_is_wanted(void)
{
	struct world *world = made();

	fake_messages_add(world->inbox, 1, 5, 100);
	world->confirms_each = true;
	begin(world);
	for (uint32_t uid = 1; uid <= 5; uid++) {
		g_assert_cmpint(move(world, uid, NULL), ==, WORLD_OK);
		g_assert_cmpuint(copies(world, "INBOX", uid), ==, 0);
	}
	g_assert_cmpuint(world->server->moves, ==, 5);
	world_free(world);
}

static void what_is_promised_is_hidden(void)
{
	struct world *world = opened(5);

	g_assert_cmpint(move(world, 1, NULL), ==, WORLD_OK);
	world->server->is_stalled = true;
	g_assert_cmpint(move(world, 2, NULL), ==, WORLD_OK);
	g_assert_true(engine_is_hidden(world->engine, box(world), 2));
	g_assert_false(engine_is_hidden(world->engine, box(world), 3));
	g_assert_cmpint(move(world, 2, NULL), ==, MAILFS_ERROR_GONE);
	world->server->is_stalled = false;
	g_assert_cmpint(settle(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(copies(world, "Archive", 2), ==, 1);
	world_free(world);
}

static void flags_that_wait_go_first(void)
{
	struct world *world = opened(5);

	engine_change_flags(world->engine, box(world), 2,
		&(struct engine_flag_change){ .add = MAILFS_FLAG_FLAGGED }, NULL, NULL);
	g_assert_cmpint(move(world, 2, NULL), ==, WORLD_OK);
	g_assert_cmpuint(fake_message_find(archive, 4)->flags, ==, MAILFS_FLAG_FLAGGED);
	world_free(world);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void a_refusal_leaves_it_where_it_was(void)
{
	struct world *world = opened(5);

	fake_fail(world->server, FAKE_MOVE, MAILFS_ERROR_QUOTA);
	g_assert_cmpint(move(world, 2, NULL), ==, MAILFS_ERROR_QUOTA);
	g_assert_cmpuint(copies(world, "INBOX", 2), ==, 1);
	g_assert_nonnull(world_message(world, 2));
	g_assert_true(is_idle(world));
	world_free(world);
}

static void a_refused_promise_fails_the_next_one(void)
{
	struct world *world = opened(5);

	g_assert_cmpint(move(world, 1, NULL), ==, WORLD_OK);
	fake_fail(world->server, FAKE_MOVE, MAILFS_ERROR_QUOTA);
	g_assert_cmpint(move(world, 2, NULL), ==, WORLD_OK);
	world_until(is_idle, world);
	g_assert_false(engine_is_hidden(world->engine, box(world), 2));
	g_assert_true(world_has_reason(world, "stays where it is"));
	g_assert_cmpint(move(world, 3, NULL), ==, MAILFS_ERROR_QUOTA);
	g_assert_cmpuint(copies(world, "INBOX", 3), ==, 1);
	/* And then it is waited for again. */
	g_assert_cmpint(move(world, 3, NULL), ==, WORLD_OK);
	g_assert_cmpuint(copies(world, "Archive", 3), ==, 1);
	world_free(world);
}

static void settling_tells_what_was_refused(void)
{
	struct world *world = opened(5);

	g_assert_cmpint(move(world, 1, NULL), ==, WORLD_OK);
	fake_fail(world->server, FAKE_MOVE, MAILFS_ERROR_QUOTA);
	g_assert_cmpint(move(world, 2, NULL), ==, WORLD_OK);
	g_assert_cmpint(settle(world, "Archive"), ==, MAILFS_ERROR_QUOTA);
	g_assert_cmpint(settle(world, "Archive"), ==, WORLD_OK);
	world_free(world);
}

static void rights_are_asked_on_both_sides(void)
{
	struct world *world = made();

	fake_messages_add(world->inbox, 1, 5, 100);
	archive->rights &= ~(unsigned)MAILFS_RIGHT_INSERT;
	begin(world);
	g_assert_cmpint(move(world, 1, NULL), ==, MAILFS_ERROR_DENIED);
	world->inbox->rights &= ~(unsigned)MAILFS_RIGHT_DELETE;
	world_refresh(world, "INBOX");
	g_assert_cmpint(delete(world, 1), ==, MAILFS_ERROR_DENIED);
	g_assert_cmpuint(world->server->moves, ==, 0);
	world_free(world);
}

static void without_network_nothing_begins(void)
{
	struct world *world = opened(5);

	world_stop(world);
	world->server->is_down = true;
	begin(world);
	g_assert_cmpint(move(world, 1, NULL), ==, MAILFS_ERROR_OFFLINE);
	world_free(world);
}

static void a_backend_that_cannot_says_so(void)
{
	struct mailfs_backend backend = fake_backend;
	struct world *world = made();

	backend.move = NULL;
	backend.remove = NULL;
	backend.store = NULL;
	fake_messages_add(world->inbox, 1, 5, 100);
	world->backend = &backend;
	begin(world);
	g_assert_cmpint(move(world, 1, NULL), ==, MAILFS_ERROR_READ_ONLY);
	g_assert_cmpint(delete(world, 1), ==, MAILFS_ERROR_READ_ONLY);
	world_free(world);
}

/* ---- deleting -------------------------------------------------------------------------------- */

static void rm_moves_to_the_trash(void)
{
	struct world *world = opened(5);

	g_assert_cmpint(delete(world, 2), ==, WORLD_OK);
	g_assert_cmpuint(copies(world, "Bin", 2), ==, 1);
	g_assert_cmpuint(copies(world, "INBOX", 2), ==, 0);
	g_assert_cmpuint(world->server->removes, ==, 0);
	world_free(world);
}

static void rm_in_the_trash_is_for_ever(void)
{
	struct world *world = opened(5);
	struct answer answer = { 0 };
	struct folder *bin;

	g_assert_cmpint(delete(world, 2), ==, WORLD_OK);
	g_assert_cmpint(world_open(world, "Bin"), ==, WORLD_OK);
	bin = world_folder(world, "Bin");
	engine_delete(world->engine, bin->box->id, mailbox_at(bin->box, 0)->uid, answer_take, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpint(answer.code, ==, WORLD_OK);
	g_assert_cmpuint(copies(world, "Bin", 2), ==, 0);
	world_free(world);
}

static void a_folder_that_is_only_called_trash_is_none(void) /* NM-10 */
{
	struct world *world = world_new();

	fake_folder_add(world->server, "Trash", 20);
	archive = fake_folder_add(world->server, "Archive", 20);
	fake_messages_add(world->inbox, 1, 5, 100);
	begin(world);
	g_assert_cmpint(delete(world, 2), ==, MAILFS_ERROR_NOT_POSSIBLE);
	g_assert_true(world_has_reason(world, "delete=expunge"));
	g_assert_cmpuint(copies(world, "INBOX", 2), ==, 1);
	world_free(world);
}

static void modes_of_deleting_are_kept(void)
{
	struct world *world = made();

	fake_messages_add(world->inbox, 1, 5, 100);
	world->delete_mode = ENGINE_DELETE_NO;
	begin(world);
	g_assert_cmpint(delete(world, 2), ==, MAILFS_ERROR_NOT_POSSIBLE);
	world_stop(world);
	world->delete_mode = ENGINE_DELETE_EXPUNGE;
	begin(world);
	g_assert_cmpint(delete(world, 2), ==, WORLD_OK);
	g_assert_cmpuint(world->inbox->messages->len, ==, 4);
	g_assert_cmpuint(copies(world, "Bin", 2), ==, 0);
	world_free(world);
}

/* ---- accidents ------------------------------------------------------------------------------- */

static const enum fake_point move_points[] = {
	FAKE_MOVE, FAKE_MOVE_COPIED, FAKE_MOVE_LEFT, FAKE_MOVE_END, FAKE_REMOVE, FAKE_REMOVE_LEFT,
};

/* Part F, 2 to 4: one copy and no more, wherever the connection is lost; and who waits is told right. */
static void a_lost_connection_moves_once(void)
{
	for (unsigned way = 0; way < 4; way++) {
		for (unsigned i = 0; i < G_N_ELEMENTS(move_points); i++) {
			struct world *world = opened(5);

			world->server->has_move = (way & 1) != 0;
			world->server->hides_copies = (way & 2) != 0;
			fake_die(world->server, move_points[i], MAILFS_ERROR_CONNECTION_LOST);
			/* So that what is half done is finished by a removal that dies, too. */
			if (move_points[i] >= FAKE_REMOVE)
				fake_die(world->server, FAKE_MOVE_COPIED, MAILFS_ERROR_CONNECTION_LOST);
			g_assert_cmpint(move(world, 2, "n.eml"), ==, WORLD_OK);
			world_until(is_idle, world);
			g_assert_cmpuint(copies(world, "INBOX", 2), ==, 0);
			g_assert_cmpuint(copies(world, "Archive", 2), ==, 1);
			g_assert_cmpuint(world->inbox->messages->len, ==, 4);
			g_assert_cmpuint(archive->messages->len, ==, 4);
			g_assert_cmpuint(world_count(world), ==, 4);
			g_assert_cmpuint(shown(world, "Archive"), ==, 4);
			g_assert_cmpuint(engine_given_uid(world->engine,
				world_folder(world, "Archive")->box->id, "n.eml"), !=, 0);
			world_free(world);
		}
	}
}

static void a_lost_connection_removes_once(void)
{
	static const enum fake_point points[] = { FAKE_REMOVE, FAKE_REMOVE_LEFT, FAKE_REMOVE_END };

	for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
		struct world *world = made();

		fake_messages_add(world->inbox, 1, 5, 100);
		world->delete_mode = ENGINE_DELETE_EXPUNGE;
		begin(world);
		fake_die(world->server, points[i], MAILFS_ERROR_CONNECTION_LOST);
		g_assert_cmpint(delete(world, 2), ==, WORLD_OK);
		world_until(is_idle, world);
		g_assert_null(fake_message_find(world->inbox, 2));
		g_assert_cmpuint(world->inbox->messages->len, ==, 4);
		world_free(world);
	}
}

static bool was_struck(void *user)
{
	return ((struct world *)user)->server->faults->len == 0;
}

/* The process dies where the connection does, with and without a promise; then the next one starts. */
static void a_dead_process_loses_nothing(void)
{
	for (unsigned way = 0; way < 16; way++) {
		bool is_promised = (way & 4) != 0;

		for (unsigned i = 0; i < 4; i++) {
			struct world *world = opened_with(5, (way & 8) == 0);
			struct answer answer = { 0 };
			unsigned here, there;

			world->server->has_move = (way & 1) != 0;
			world->server->hides_copies = (way & 2) != 0;
			if (world->server->has_move && move_points[i] == FAKE_MOVE_COPIED) {
				world_free(world);
				continue;
			}
			if (is_promised)
				g_assert_cmpint(move(world, 1, NULL), ==, WORLD_OK);
			fake_die(world->server, move_points[i], MAILFS_ERROR_CONNECTION_LOST);
			ask_move(world, 2, "n.eml", &answer);
			world_until(was_struck, world);
			world_crash(world);
			begin(world);
			world_until(is_idle, world);
			here = copies(world, "INBOX", 2);
			there = copies(world, "Archive", 2);
			g_assert_cmpuint(here + there, ==, 1);
			if (is_promised || move_points[i] != FAKE_MOVE)
				g_assert_cmpuint(there, ==, 1);
			if (there > 0)
				g_assert_true(has_name(world, "n.eml"));
			g_assert_cmpuint(world->inbox->messages->len + archive->messages->len, ==, 8);
			g_assert_cmpuint(world_count(world) + shown(world, "Archive"), ==, 8);
			world_free(world);
		}
	}
}

static void what_nobody_waits_for_is_not_begun_again(void)
{
	struct world *world = opened(5);
	struct answer answer = { 0 };

	world->server->is_stalled = true;
	ask_move(world, 2, NULL, &answer);
	while (world->server->moves == 0)
		g_main_context_iteration(NULL, TRUE);
	world_crash(world);
	world->server->is_stalled = false;
	begin(world);
	world_until(is_idle, world);
	g_assert_cmpuint(world->server->moves, ==, 1);
	g_assert_cmpuint(copies(world, "INBOX", 2), ==, 1);
	g_assert_false(engine_is_hidden(world->engine, box(world), 2));
	world_free(world);
}

static void a_promise_is_kept_after_a_restart(void)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		struct world *world = made();

		fake_messages_add(world->inbox, 1, 5, 100);
		world->delete_mode = ENGINE_DELETE_EXPUNGE;
		begin(world);
		g_assert_cmpint(kind ? delete(world, 1) : move(world, 1, NULL), ==, WORLD_OK);
		g_assert_cmpint(kind ? delete(world, 2) : move(world, 2, NULL), ==, WORLD_OK);
		world_crash(world);
		g_assert_cmpuint(copies(world, "INBOX", 2), ==, 1);
		world_start(world);
		world_open(world, "INBOX");
		g_assert_true(!world_message(world, 2) || engine_is_hidden(world->engine, box(world), 2));
		world_until(is_idle, world);
		g_assert_cmpuint(copies(world, "INBOX", 2), ==, 0);
		g_assert_cmpuint(copies(world, "Archive", 2), ==, kind ? 0 : 1);
		g_assert_cmpuint(world->inbox->messages->len, ==, 3);
		world_free(world);
	}
}

/* One by one, each would find the others marked already, and stay (EX-1). */
static void what_a_dead_process_left_is_removed_together(void)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		struct world *world = made();
		unsigned removes;

		fake_messages_add(world->inbox, 1, 5, 100);
		world->server->has_move = false;
		world->delete_mode = ENGINE_DELETE_EXPUNGE;
		begin(world);
		if (kind == 0)
			fake_fault(world->server,
				&(struct fake_fault){ .point = FAKE_MOVE_COPIED, .skip = 1, .times = 1,
					.code = MAILFS_ERROR_CONNECTION_LOST, .is_death = true });
		for (uint32_t uid = 1; uid <= 4; uid++)
			g_assert_cmpint(kind ? delete(world, uid) : move(world, uid, NULL), ==, WORLD_OK);
		if (kind == 0)
			world_until(was_struck, world);
		world_crash(world);
		removes = world->server->removes;
		begin(world);
		world_until(is_idle, world);
		g_assert_cmpuint(world->server->removes, ==, removes + 1);
		g_assert_cmpuint(world->inbox->messages->len, ==, 1);
		g_assert_cmpuint(archive->messages->len, ==, kind ? 3 : 7);
		world_free(world);
	}
}

/* The same size, the same second, another letter: it is not taken for the copy. */
static void a_twin_is_not_the_copy(void)
{
	struct world *world = opened(5);
	struct answer answer = { 0 };
	struct fake_message *twin;

	fake_die(world->server, FAKE_MOVE, MAILFS_ERROR_CONNECTION_LOST);
	world->confirms_each = true;
	ask_move(world, 2, NULL, &answer);
	world_until(was_struck, world);
	twin = fake_message_add(archive, 9, 100);
	twin->date = fake_message_find(world->inbox, 2)->date;
	world_until(answer_is_there, &answer);
	g_assert_cmpint(answer.code, ==, WORLD_OK);
	g_assert_cmpuint(copies(world, "Archive", 2), ==, 1);
	g_assert_cmpuint(archive->messages->len, ==, 5);
	world_free(world);
}

/* Two letters alike, and one of them was copied: that copy is not taken for both. */
static void one_copy_stands_for_one_message(void)
{
	struct world *world = made();
	struct answer answers[3] = { 0 };
	struct fake_message *source, *other, *copy;

	fake_messages_add(world->inbox, 1, 5, 100);
	source = fake_message_find(world->inbox, 2);
	other = fake_message_find(world->inbox, 3);
	other->date = source->date;
	g_bytes_unref(other->body);
	other->body = g_bytes_ref(source->body);
	world->confirms_each = true;
	begin(world);
	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_MOVE, .skip = 1, .times = 1,
		.code = MAILFS_ERROR_CONNECTION_LOST, .is_death = true });
	/* The first one goes alone, the others behind it together. */
	for (uint32_t i = 0; i < G_N_ELEMENTS(answers); i++)
		ask_move(world, 1 + i, NULL, &answers[i]);
	world_until(was_struck, world);
	copy = fake_message_add(archive, 9, 100);
	copy->date = source->date;
	g_bytes_unref(copy->body);
	copy->body = g_bytes_ref(source->body);
	for (uint32_t i = 0; i < G_N_ELEMENTS(answers); i++) {
		world_until(answer_is_there, &answers[i]);
		g_assert_cmpint(answers[i].code, ==, WORLD_OK);
	}
	world_until(is_idle, world);
	g_assert_cmpuint(world->server->moves, ==, 3);
	g_assert_cmpuint(world->inbox->messages->len, ==, 2);
	g_assert_cmpuint(archive->messages->len, ==, 6);
	world_free(world);
}

static void others_may_expunge_it_first(void)
{
	struct world *world = opened(5);

	fake_message_remove(world->inbox, 2);
	move(world, 2, NULL);
	world_until(is_idle, world);
	g_assert_cmpuint(world->inbox->messages->len, ==, 4);
	g_assert_cmpuint(world_count(world), ==, 4);
	g_assert_cmpuint(archive->messages->len, ==, 3);
	world_free(world);
}

static void a_new_uidvalidity_ends_what_waits(void) /* ID-1 */
{
	for (unsigned restart = 0; restart < 2; restart++) {
		struct world *world = opened(5);

		g_assert_cmpint(move(world, 1, NULL), ==, WORLD_OK);
		g_assert_cmpint(move(world, 2, NULL), ==, WORLD_OK);
		if (restart)
			world_crash(world);
		fake_folder_clear(world->inbox, 8);
		fake_messages_add(world->inbox, 1, 5, 100);
		if (restart)
			begin(world);
		world_refresh(world, "INBOX");
		world_until(is_idle, world);
		g_assert_cmpuint(world->inbox->messages->len, ==, 5);
		g_assert_cmpuint(archive->messages->len, ==, 4);
		g_assert_true(world_has_reason(world, "stays where it is"));
		world_free(world);
	}
}

static struct world *acting; /* of the test at hand */
static unsigned acts;

static void count_requests(struct fake_server *server, struct fake_folder *folder)
{
	g_autoptr(GList) lanes = g_hash_table_get_values(acting->engine->mover->lanes);
	unsigned busy = 0;

	for (GList *at = lanes; at; at = at->next)
		busy += ((struct lane *)at->data)->batch != NULL;
	g_assert_cmpuint(busy, ==, 1);
	acts++;
}

/* EX-1: without UIDPLUS, what one has marked would be in the way of the other. */
static void one_request_at_a_time_empties_a_folder(void)
{
	struct world *world = opened(5);
	struct answer moved = { 0 }, deleted = { 0 };

	acting = world;
	acts = 0;
	world->server->delay = 20;
	world->server->change_hook = count_requests;
	ask_move(world, 1, NULL, &moved);
	engine_delete(world->engine, box(world), 2, answer_take, &deleted);
	world_until(answer_is_there, &moved);
	world_until(answer_is_there, &deleted);
	g_assert_cmpuint(acts, ==, 2);
	g_assert_cmpint(moved.code, ==, WORLD_OK);
	g_assert_cmpint(deleted.code, ==, WORLD_OK);
	world_until(is_idle, world);
	g_assert_cmpuint(world->inbox->messages->len, ==, 3);
	world_free(world);
}

/* AS-3: while it is being found out what became of a move, at whatever moment. */
static void folders_may_go_while_a_move_is_in_doubt(void)
{
	for (unsigned turn = 0; turn < 90; turn++) {
		struct world *world = opened(3);
		struct answer answer = { 0 }, refreshed = { 0 };

		world->server->has_move = false;
		world->server->hides_copies = true;
		fake_die(world->server, FAKE_MOVE_COPIED, MAILFS_ERROR_CONNECTION_LOST);
		ask_move(world, 2, "n", &answer);
		world_turns(turn);
		if (turn % 3 == 0)
			fake_folder_clear(archive, 21 + turn);
		else
			fake_folder_remove(world->server, "Archive");
		engine_refresh(world->engine, NULL, answer_take, &refreshed);
		world_until(answer_is_there, &answer);
		world_until(is_idle, world);
		g_assert_cmpuint(world->inbox->messages->len, >=, 2);
		world_free(world);
	}
}

static void an_end_in_the_middle_is_clean(void)
{
	struct world *world = opened(5);
	struct answer answer = { 0 };

	ask_move(world, 1, NULL, &answer);
	engine_cancel(world->engine, engine_move(world->engine, box(world), 2,
		world_folder(world, "Archive"), NULL, answer_take, &answer));
	engine_settle(world->engine, world_folder(world, "INBOX"), answer_take, &answer);
	world_crash(world);
	g_assert_cmpuint(answer.count, ==, 0);
	world_free(world);
}

static void a_removal_for_a_replacement_is_a_promise(void)
{
	struct world *world = opened(5);
	struct answer answer = { 0 };

	mover_remove_now(world->engine->mover, world_folder(world, "INBOX"), 7, 2, answer_take, &answer);
	g_assert_true(engine_is_hidden(world->engine, box(world), 2));
	world_until(answer_is_there, &answer);
	g_assert_cmpint(answer.code, ==, WORLD_OK);
	g_assert_cmpuint(copies(world, "INBOX", 2), ==, 0);
	g_assert_cmpuint(world_count(world), ==, 4);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, name) g_test_add_func("/engine/mover/" path, name)
	ADD("WR-7 named", a_message_moves_under_its_name);
	ADD("within", a_move_within_a_folder_is_a_name);
	ADD("not looked at", a_folder_that_nobody_looked_at_shows_what_came);
	ADD("WR-7 a thousand", a_thousand_move_in_few_commands);
	ADD("confirm each", each_is_confirmed_if_that_is_wanted);
	ADD("hidden", what_is_promised_is_hidden);
	ADD("flags first", flags_that_wait_go_first);
	ADD("WR-7 refused", a_refusal_leaves_it_where_it_was);
	ADD("refused promise", a_refused_promise_fails_the_next_one);
	ADD("settle", settling_tells_what_was_refused);
	ADD("FL-5 rights", rights_are_asked_on_both_sides);
	ADD("offline", without_network_nothing_begins);
	ADD("cannot", a_backend_that_cannot_says_so);
	ADD("WR-6 trash", rm_moves_to_the_trash);
	ADD("WR-6 in the trash", rm_in_the_trash_is_for_ever);
	ADD("NM-10 by attribute", a_folder_that_is_only_called_trash_is_none);
	ADD("WR-6 modes", modes_of_deleting_are_kept);
	ADD("WR-7 connection lost", a_lost_connection_moves_once);
	ADD("WR-6 connection lost", a_lost_connection_removes_once);
	ADD("WR-7 crash", a_dead_process_loses_nothing);
	ADD("not begun again", what_nobody_waits_for_is_not_begun_again);
	ADD("promise kept", a_promise_is_kept_after_a_restart);
	ADD("EX-1 together", what_a_dead_process_left_is_removed_together);
	ADD("twin", a_twin_is_not_the_copy);
	ADD("one copy", one_copy_stands_for_one_message);
	ADD("AS-2 expunged", others_may_expunge_it_first);
	ADD("ID-1 UIDVALIDITY", a_new_uidvalidity_ends_what_waits);
	ADD("EX-1 one at a time", one_request_at_a_time_empties_a_folder);
	ADD("AS-3 in doubt", folders_may_go_while_a_move_is_in_doubt);
	ADD("end", an_end_in_the_middle_is_clean);
	ADD("replacement", a_removal_for_a_replacement_is_a_promise);
	return g_test_run();
}
