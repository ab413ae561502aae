/* SPDX-License-Identifier: MIT */
/* Backends whose messages have keys, and whose sessions keep others out. */
#include "engine/keys.h"
#include "engine/mover_impl.h"
#include "engine/pool_impl.h"
#include "engine_world.h"

/* ---- keys ------------------------------------------------------------------------------------ */

static void uids_grow_and_are_never_given_twice(void)
{
	struct keys *keys = keys_new();

	g_assert_cmpuint(keys_allot(keys, "a"), ==, 1);
	g_assert_cmpuint(keys_allot(keys, "b"), ==, 2);
	keys_remove(keys, 2);
	g_assert_cmpuint(keys_find(keys, "b"), ==, 0);
	g_assert_cmpuint(keys_allot(keys, "b"), ==, 3);
	g_assert_cmpuint(keys_find(keys, "a"), ==, 1);
	g_assert_cmpstr(keys_of(keys, 3), ==, "b");
	g_assert_null(keys_of(keys, 2));
	g_assert_cmpuint(keys_last(keys), ==, 3);
	keys_free(keys);
}

static void a_pair_replaces_those_it_contradicts(void)
{
	struct keys *keys = keys_new();

	keys_put(keys, 5, "a");
	keys_put(keys, 6, "b");
	keys_put(keys, 5, "b");
	g_assert_cmpuint(keys_find(keys, "a"), ==, 0);
	g_assert_cmpuint(keys_find(keys, "b"), ==, 5);
	g_assert_null(keys_of(keys, 6));
	keys_note_last(keys, UINT32_MAX);
	g_assert_cmpuint(keys_allot(keys, "c"), ==, 0);
	keys_free(keys);
}

/* ---- a folder whose messages have keys ------------------------------------------------------- */

/* As a backend with keys does it: the UIDs of the server in memory are its keys. */
static void tell_by_key(struct fake_server *server, const struct mailfs_sync_request *request)
{
	const struct fake_folder *folder = g_ptr_array_index(server->folders, 0);

	for (guint i = 0; i < folder->messages->len; i++) {
		const struct fake_message *message = g_ptr_array_index(folder->messages, i);
		g_autofree char *key = g_strdup_printf("key %u", message->uid);
		unsigned wanted;
		uint32_t uid = request->uid_of_key(request->user, key, &wanted);
		struct mailfs_message_info info = {
			.uid = uid, .size = message->claimed, .date = message->date, .remote_id = key,
			.fields = MAILFS_INFO_FLAGS | MAILFS_INFO_SIZE | MAILFS_INFO_DATE | MAILFS_INFO_REMOTE_ID,
		};

		if (wanted == 0)
			request->uids(request->user, &uid, 1);
		else
			request->messages(request->user, &info, 1);
	}
}

static struct mailfs_backend backend;
static unsigned blind; /* messages that were to be removed without a key */

static mailfs_ticket remove_by_key(struct mailfs_session *session,
	const struct mailfs_remove_request *request)
{
	struct mailfs_remove_request own = *request;

	for (size_t i = 0; i < request->uid_count; i++)
		blind += request->keys[i][0] == '\0';
	own.uidvalidity = 7; /* with keys it is the engine's own */
	return fake_backend.remove(session, &own);
}

static struct world *keyed(uint32_t first, uint32_t last)
{
	struct world *world = world_new();

	backend = fake_backend;
	backend.traits = MAILFS_TRAIT_KEYS | MAILFS_TRAIT_EXCLUSIVE;
	backend.store = NULL;
	backend.remove = remove_by_key;
	blind = 0;
	backend.rest_ms = 1;
	world->backend = &backend;
	world->server->sync_hook = tell_by_key;
	world->server->sync_is_full = true;
	world->delete_mode = ENGINE_DELETE_EXPUNGE;
	fake_messages_add(world->inbox, first, last, 100);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	return world;
}

static void messages_get_uids_of_their_own(void)
{
	struct world *world = keyed(101, 110);

	g_assert_cmpuint(world_count(world), ==, 10);
	for (uint32_t uid = 1; uid <= 10; uid++)
		g_assert_cmpint(world_message(world, uid)->date, ==, 1600000100 + uid);
	world_free(world);
}

static void uids_stay_over_a_restart(void)
{
	struct world *world = keyed(101, 110);
	uint32_t box = world_folder(world, "INBOX")->box_id;

	fake_message_remove(world->inbox, 110);
	fake_message_remove(world->inbox, 105);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	/* One that comes back is another one, and what went does not leave its UID. */
	fake_messages_add(world->inbox, 111, 111, 100);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_folder(world, "INBOX")->box_id, ==, box);
	g_assert_cmpuint(world_count(world), ==, 9);
	g_assert_null(world_message(world, 5));
	g_assert_null(world_message(world, 10));
	g_assert_cmpint(world_message(world, 9)->date, ==, 1600000109);
	g_assert_cmpint(world_message(world, 11)->date, ==, 1600000111);
	world_free(world);
}

static void a_lost_index_is_swept_again(void)
{
	struct world *world = keyed(101, 110);

	world_stop(world);
	world_forget_index(world);
	world_open_store(world);
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_count(world), ==, 10);
	world_free(world);
}

static void flags_without_a_server_are_kept_here(void)
{
	struct world *world = keyed(101, 103);
	struct answer answer = { 0 };

	engine_change_flags(world->engine, world_folder(world, "INBOX")->box_id, 2,
		&(struct engine_flag_change){ .add = MAILFS_FLAG_FLAGGED }, answer_take, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpint(answer.code, ==, WORLD_OK);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world_message(world, 2)->flags, ==, MAILFS_FLAG_FLAGGED);
	g_assert_cmpuint(world_message(world, 1)->flags, ==, 0);
	world_free(world);
}

static int delete(struct world *world, uint32_t uid)
{
	struct answer answer = { 0 };

	engine_delete(world->engine, world_folder(world, "INBOX")->box->id, uid, answer_take, &answer);
	world_until(answer_is_there, &answer);
	return answer.code;
}

static void count_item(void *user, const struct engine_pending *item)
{
	++*(unsigned *)user;
}

static bool has_moved_all(void *user)
{
	struct world *world = user;
	unsigned count = 0;

	mover_each(world->engine->mover, count_item, &count);
	return count == 0 && mover_flush(world->engine->mover);
}

/* Nobody has looked at the folder yet. */
static void a_promised_removal_knows_its_key_after_a_restart(void)
{
	struct world *world = keyed(1, 5);

	g_assert_cmpint(delete(world, 1), ==, WORLD_OK);
	g_assert_cmpint(delete(world, 2), ==, WORLD_OK);
	world_crash(world);
	g_assert_cmpuint(world->inbox->messages->len, ==, 4);
	world_start(world);
	world_until(has_moved_all, world);
	g_assert_cmpuint(blind, ==, 0);
	g_assert_cmpuint(world->inbox->messages->len, ==, 3);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_null(world_message(world, 2));
	g_assert_cmpuint(world_count(world), ==, 3);
	world_free(world);
}

/* ---- sessions that keep others out ----------------------------------------------------------- */

static bool has_no_session(void *user)
{
	struct engine_status status;

	engine_get_status(((struct world *)user)->engine, &status);
	return status.sessions == 0;
}

static void a_session_without_work_ends(void)
{
	struct world *world = keyed(101, 103);

	world_until(has_no_session, world);
	g_assert_cmpint(engine_state(world->engine), ==, ENGINE_ONLINE);
	g_assert_cmpuint(world->server->dials, ==, 1);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpuint(world->server->dials, ==, 2);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/engine/keys/" name, test)
	ADD("grow", uids_grow_and_are_never_given_twice);
	ADD("pairs", a_pair_replaces_those_it_contradicts);
	ADD("own", messages_get_uids_of_their_own);
	ADD("restart", uids_stay_over_a_restart);
	ADD("lost", a_lost_index_is_swept_again);
	ADD("flags", flags_without_a_server_are_kept_here);
	ADD("removal", a_promised_removal_knows_its_key_after_a_restart);
	ADD("P3-8/idle", a_session_without_work_ends);
	return g_test_run();
}
