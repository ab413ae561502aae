/* SPDX-License-Identifier: MIT */
/* Folders that are made, removed, renamed, subscribed. */
#include "engine_world.h"

#include "engine/internal.h"

static struct world *started(void)
{
	struct world *world = world_new();

	fake_folder_add(world->server, "Work", 20);
	fake_folder_add(world->server, "Work/Old", 21);
	fake_folder_add(world->server, "Sent", 22)->role = "\\Sent";
	world_start(world);
	return world;
}

static struct folder *find(struct world *world, const char *path)
{
	return tree_by_shown_path(engine_tree(world->engine), path);
}

static int make(struct world *world, const char *parent, const char *name)
{
	struct answer answer = { 0 };

	engine_make_folder(world->engine, find(world, parent), name, answer_take, &answer);
	world_until(answer_is_there, &answer);
	return answer.code;
}

static int remove_folder(struct world *world, const char *path)
{
	struct answer answer = { 0 };

	engine_remove_folder(world->engine, find(world, path), answer_take, &answer);
	world_until(answer_is_there, &answer);
	return answer.code;
}

static int rename_folder(struct world *world, const char *path, const char *parent, const char *name)
{
	struct answer answer = { 0 };

	engine_rename_folder(world->engine, find(world, path), find(world, parent), name, answer_take,
		&answer);
	world_until(answer_is_there, &answer);
	return answer.code;
}

static void a_folder_that_is_made_is_shown(void)
{
	struct world *world = started();

	g_assert_cmpint(make(world, "Work", "New"), ==, WORLD_OK);
	g_assert_nonnull(find(world, "Work/New"));
	g_assert_cmpint(make(world, "", "Top"), ==, WORLD_OK);
	g_assert_nonnull(find(world, "Top"));
	g_assert_cmpint(make(world, "Work", "New"), ==, MAILFS_ERROR_EXISTS);
	world_free(world);
}

static void names_that_no_folder_can_have_are_invalid(void)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "\xff" };
	struct world *world = started();

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(make(world, "Work", bad[i]), ==, MAILFS_ERROR_INVALID);
	g_assert_cmpuint(world->server->folder_changes, ==, 0);
	world_free(world);
}

static void an_empty_folder_goes(void)
{
	struct world *world = started();

	g_assert_cmpint(remove_folder(world, "Work"), ==, MAILFS_ERROR_NOT_EMPTY);
	g_assert_cmpint(remove_folder(world, "Work/Old"), ==, WORLD_OK);
	g_assert_null(find(world, "Work/Old"));
	fake_messages_add(fake_folder_find(world->server, "Work"), 1, 1, 10);
	g_assert_cmpint(remove_folder(world, "Work"), ==, MAILFS_ERROR_NOT_EMPTY);
	g_assert_nonnull(find(world, "Work"));
	world_free(world);
}

static void what_has_a_use_stays(void)
{
	struct world *world = started();

	g_assert_cmpint(remove_folder(world, "INBOX"), ==, MAILFS_ERROR_NOT_POSSIBLE);
	g_assert_cmpint(remove_folder(world, "Sent"), ==, MAILFS_ERROR_NOT_POSSIBLE);
	g_assert_cmpint(rename_folder(world, "INBOX", "", "x"), ==, MAILFS_ERROR_NOT_POSSIBLE);
	g_assert_cmpint(rename_folder(world, "Work", "Work/Old", "x"), ==, MAILFS_ERROR_INVALID);
	g_assert_cmpint(rename_folder(world, "Work", "", "Sent"), ==, MAILFS_ERROR_EXISTS);
	g_assert_cmpuint(world->server->folder_changes, ==, 0);
	world_free(world);
}

/* What waits for its messages follows. */
static void a_renamed_folder_takes_all_along(void)
{
	struct world *world = started();
	struct fake_folder *old = fake_folder_find(world->server, "Work/Old");
	struct answer answer = { 0 };

	fake_messages_add(old, 1, 3, 100);
	world->inbox->rights = MAILFS_RIGHTS_ALL;
	g_assert_cmpint(world_open(world, "Work/Old"), ==, WORLD_OK);
	engine_give_name(world->engine, find(world, "Work/Old")->box->id, 2, "mine", answer_take, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpint(rename_folder(world, "Work", "", "Done"), ==, WORLD_OK);
	g_assert_null(find(world, "Work"));
	g_assert_cmpint(world_open(world, "Done/Old"), ==, WORLD_OK);
	g_assert_cmpuint(engine_given_uid(world->engine, find(world, "Done/Old")->box->id, "mine"), ==, 2);
	world_restart(world);
	g_assert_cmpint(world_open(world, "Done/Old"), ==, WORLD_OK);
	g_assert_cmpuint(engine_given_uid(world->engine, find(world, "Done/Old")->box->id, "mine"), ==, 2);
	world_free(world);
}

static void take_slice(void *user, const struct body_slice *slice, const GError *error)
{
	answer_take(user, error);
}

static void read_of(struct world *world, const char *path, uint32_t uid)
{
	struct answer answer = { 0 };

	engine_read(world->engine, find(world, path)->box->id, uid, (struct mailfs_range){ 0, 100 },
		take_slice, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpint(answer.code, ==, WORLD_OK);
}

/* Also what is cached: nothing is listed or fetched again, in this process or the next. */
static void a_renamed_folder_keeps_its_cache(void)
{
	struct world *world = started();
	unsigned sweeps, fetches;
	uint32_t box_id, dir_id;

	fake_messages_add(fake_folder_find(world->server, "Work/Old"), 1, 3, 100);
	g_assert_cmpint(world_open(world, "Work/Old"), ==, WORLD_OK);
	read_of(world, "Work/Old", 2);
	world_settle(world);
	box_id = find(world, "Work/Old")->box->id;
	dir_id = find(world, "Work/Old")->dir_id;
	sweeps = world->server->sweeps;
	fetches = world->server->fetches;
	g_assert_cmpint(rename_folder(world, "Work", "", "Done"), ==, WORLD_OK);
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(world_open(world, "Done/Old"), ==, WORLD_OK);
		read_of(world, "Done/Old", 2);
		g_assert_cmpuint(find(world, "Done/Old")->box->id, ==, box_id);
		g_assert_cmpuint(find(world, "Done/Old")->dir_id, !=, dir_id);
		g_assert_cmpuint(world->server->sweeps, ==, sweeps);
		g_assert_cmpuint(world->server->fetches, ==, fetches);
		world_settle(world);
		world_restart(world);
	}
	world_free(world);
}

/* ID-1: but not when the server has made it anew under its new name. */
static void a_renamed_folder_of_another_uidvalidity_is_another(void)
{
	struct world *world = started();
	struct fake_folder *old = fake_folder_find(world->server, "Work/Old");
	uint32_t box_id;

	fake_messages_add(old, 1, 3, 100);
	g_assert_cmpint(world_open(world, "Work/Old"), ==, WORLD_OK);
	read_of(world, "Work/Old", 2);
	box_id = find(world, "Work/Old")->box->id;
	g_assert_cmpint(rename_folder(world, "Work/Old", "", "New"), ==, WORLD_OK);
	fake_folder_clear(fake_folder_find(world->server, "New"), 99);
	fake_messages_add(fake_folder_find(world->server, "New"), 1, 1, 50);
	g_assert_cmpint(world_open(world, "New"), ==, WORLD_OK);
	g_assert_cmpint(world_refresh(world, "New"), ==, WORLD_OK);
	g_assert_cmpuint(find(world, "New")->box->id, !=, box_id);
	g_assert_cmpuint(mailbox_count(find(world, "New")->box), ==, 1);
	world_free(world);
}

static void a_lost_connection_is_decided_by_the_list(void)
{
	static const enum fake_point points[] = { FAKE_FOLDER, FAKE_FOLDER_END };

	for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
		struct world *world = started();

		fake_die(world->server, points[i], MAILFS_ERROR_CONNECTION_LOST);
		g_assert_cmpint(make(world, "Work", "New"), ==, WORLD_OK);
		g_assert_nonnull(find(world, "Work/New"));
		world_free(world);
	}
}

/* mkdir answers with the new directory: it must be there then. */
static void a_list_that_fails_is_asked_for_until_it_shows_the_folder(void)
{
	struct world *world = started();

	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_LIST, .times = 2,
		.code = MAILFS_ERROR_TRY_LATER });
	g_assert_cmpint(make(world, "Work", "New"), ==, WORLD_OK);
	g_assert_nonnull(find(world, "Work/New"));
	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_LIST, .times = 50,
		.code = MAILFS_ERROR_TRY_LATER });
	g_assert_cmpint(make(world, "Work", "Newer"), ==, MAILFS_ERROR_TRY_LATER);
	world_free(world);
}

static void a_rename_that_is_lost_is_decided_by_the_list(void)
{
	static const enum fake_point points[] = { FAKE_FOLDER, FAKE_FOLDER_END };

	for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
		struct world *world = started();

		fake_die(world->server, points[i], MAILFS_ERROR_CONNECTION_LOST);
		g_assert_cmpint(rename_folder(world, "Work/Old", "", "Moved"), ==, WORLD_OK);
		g_assert_nonnull(find(world, "Moved"));
		g_assert_null(find(world, "Work/Old"));
		world_free(world);
	}
}

static void a_removal_that_is_lost_is_decided_by_the_list(void)
{
	static const enum fake_point points[] = { FAKE_FOLDER, FAKE_FOLDER_END };

	for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
		struct world *world = started();

		fake_die(world->server, points[i], MAILFS_ERROR_CONNECTION_LOST);
		g_assert_cmpint(remove_folder(world, "Work/Old"), ==, WORLD_OK);
		g_assert_null(find(world, "Work/Old"));
		g_assert_null(fake_folder_find(world->server, "Work/Old"));
		world_free(world);
	}
}

static void a_refusal_is_told(void)
{
	struct world *world = started();

	fake_fail(world->server, FAKE_FOLDER, MAILFS_ERROR_DENIED);
	g_assert_cmpint(make(world, "Work", "New"), ==, MAILFS_ERROR_DENIED);
	g_assert_null(find(world, "Work/New"));
	world_free(world);
}

static void a_folder_is_subscribed(void)
{
	struct world *world = started();

	for (unsigned i = 0; i < 2; i++) {
		struct answer answer = { 0 };

		engine_subscribe_folder(world->engine, find(world, "Work"), i == 0, answer_take, &answer);
		world_until(answer_is_there, &answer);
		g_assert_cmpint(answer.code, ==, WORLD_OK);
		g_assert_cmpuint((find(world, "Work")->flags & MAILFS_FOLDER_SUBSCRIBED) != 0, ==, i == 0);
	}
	world_free(world);
}

/* rm -r: what was answered early is confirmed before the folder goes. */
static void removals_are_settled_first(void)
{
	struct world *world = world_new();
	struct fake_folder *old = fake_folder_add(world->server, "Old", 20);
	uint32_t id;

	fake_messages_add(old, 1, 20, 100);
	world->delete_mode = ENGINE_DELETE_EXPUNGE;
	world_start(world);
	g_assert_cmpint(world_open(world, "Old"), ==, WORLD_OK);
	id = find(world, "Old")->box->id;
	for (uint32_t uid = 1; uid <= 20; uid++) {
		struct answer answer = { 0 };

		engine_delete(world->engine, id, uid, answer_take, &answer);
		world_until(answer_is_there, &answer);
		g_assert_cmpint(answer.code, ==, WORLD_OK);
	}
	g_assert_cmpint(remove_folder(world, "Old"), ==, WORLD_OK);
	g_assert_null(find(world, "Old"));
	g_assert_cmpuint(world->server->removes, <=, 2);
	world_free(world);
}

static void a_read_only_mount_changes_none(void)
{
	struct world *world = world_new();

	world->is_read_only = true;
	world_start(world);
	g_assert_cmpint(make(world, "", "x"), ==, MAILFS_ERROR_READ_ONLY);
	g_assert_cmpuint(world->server->folder_changes, ==, 0);
	world_free(world);
}

static void an_end_in_the_middle_is_clean(void)
{
	struct world *world = started();
	struct answer made = { 0 }, removed = { 0 };

	world->server->is_stalled = true;
	engine_make_folder(world->engine, find(world, ""), "x", answer_take, &made);
	engine_cancel(world->engine,
		engine_remove_folder(world->engine, find(world, "Work/Old"), answer_take, &removed));
	world_turns(5);
	world_crash(world);
	g_assert_cmpuint(made.count + removed.count, ==, 0);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, name) g_test_add_func("/engine/folder_change/" path, name)
	ADD("WR-8 made", a_folder_that_is_made_is_shown);
	ADD("NM-1 invalid", names_that_no_folder_can_have_are_invalid);
	ADD("WR-8 removed", an_empty_folder_goes);
	ADD("NM-9 stays", what_has_a_use_stays);
	ADD("NM-9 renamed", a_renamed_folder_takes_all_along);
	ADD("renamed, cached", a_renamed_folder_keeps_its_cache);
	ADD("ID-1 renamed", a_renamed_folder_of_another_uidvalidity_is_another);
	ADD("connection lost", a_lost_connection_is_decided_by_the_list);
	ADD("list lost", a_list_that_fails_is_asked_for_until_it_shows_the_folder);
	ADD("rename lost", a_rename_that_is_lost_is_decided_by_the_list);
	ADD("removal lost", a_removal_that_is_lost_is_decided_by_the_list);
	ADD("refused", a_refusal_is_told);
	ADD("subscribed", a_folder_is_subscribed);
	ADD("WR-8 settled first", removals_are_settled_first);
	ADD("read-only", a_read_only_mount_changes_none);
	ADD("end", an_end_in_the_middle_is_clean);
	return g_test_run();
}
