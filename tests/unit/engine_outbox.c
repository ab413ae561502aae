/* SPDX-License-Identifier: MIT */
/* New messages: one APPEND for each final content, and never a loss. Part F, WR-1 … WR-6. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/log.h"
#include "engine/internal.h"
#include "engine_world.h"
#include "own_mounts.h"

#define MAIL_A "Subject: a\r\nMessage-ID: <a@x>\r\n\r\nhello\r\n"
#define MAIL_B "Subject: b\r\nMessage-ID: <b@x>\r\n\r\nworld, and more of it\r\n"

static struct world *world;

static void begin(void)
{
	world = world_new();
	world->connections = 2;
}

static void start(void)
{
	world_start(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
}

static void setup(void)
{
	begin();
	start();
}

static void teardown(void)
{
	world_free(world);
}

/* ---- what programs do --------------------------------------------------------------------------
 */

struct call {
	unsigned count;
	int code;
};

static void on_call(void *user, const GError *error)
{
	struct call *call = user;

	call->count++;
	call->code = error ? error->code : WORLD_OK;
}

static bool is_back(void *user)
{
	return ((struct call *)user)->count > 0;
}

static int wait_for(struct call *call)
{
	world_until(is_back, call);
	g_assert_cmpuint(call->count, ==, 1);
	return call->code;
}

static struct folder *inbox(void)
{
	return world_folder(world, "INBOX");
}

static struct draft *named(const char *name)
{
	return engine_draft_by_name(world->engine, inbox(), name);
}

static struct draft *create(const char *name)
{
	g_autoptr(GError) error = NULL;
	struct draft *draft = engine_draft_create(world->engine, inbox(), name, 0600, &error);

	g_assert_no_error(error);
	return draft;
}

static int write_at(struct draft *draft, uint64_t offset, const char *text)
{
	g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
	struct call call = { 0 };

	engine_draft_write(world->engine, draft, offset, bytes, on_call, &call);
	return wait_for(&call);
}

static int cut(struct draft *draft, uint64_t size)
{
	struct call call = { 0 };

	engine_draft_truncate(world->engine, draft, size, on_call, &call);
	return wait_for(&call);
}

static int flush(struct draft *draft)
{
	struct call call = { 0 };

	engine_draft_flush(world->engine, draft, on_call, &call);
	return wait_for(&call);
}

static void close_it(struct draft *draft)
{
	engine_draft_close(world->engine, draft);
}

static int rename_to(struct draft *draft, const char *path, const char *name, uint32_t over)
{
	struct call call = { 0 };

	engine_draft_rename(
		world->engine, draft, world_folder(world, path), name, over, on_call, &call);
	return wait_for(&call);
}

static int unlink_it(struct draft *draft)
{
	struct call call = { 0 };

	engine_draft_unlink(world->engine, draft, on_call, &call);
	return wait_for(&call);
}

/* cp a m/ */
static void cp(const char *name, const char *text)
{
	struct draft *draft = create(name);

	g_assert_cmpint(write_at(draft, 0, text), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
}

/* ---- what is there -----------------------------------------------------------------------------
 */

static void count_draft(void *user, struct draft *draft)
{
	++*(unsigned *)user;
}

static unsigned drafts(void)
{
	unsigned count = 0;

	engine_each_draft(world->engine, inbox(), count_draft, &count);
	return count;
}

static void count_pending(void *user, const struct engine_pending *item)
{
	++*(unsigned *)user;
}

static unsigned pending(void)
{
	unsigned count = 0;

	engine_each_pending(world->engine, count_pending, &count);
	return count;
}

static bool is_quiet(void *user)
{
	return pending() == 0 && journal_pending(world->journal) == 0;
}

static void quiesce(void)
{
	world_until(is_quiet, NULL);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	world_settle(world);
}

/* How many messages of the server have this body. */
static unsigned copies(const char *text)
{
	unsigned count = 0;

	for (guint i = 0; i < world->inbox->messages->len; i++) {
		const struct fake_message *message = world->inbox->messages->pdata[i];
		gsize len;
		const void *data = g_bytes_get_data(message->body, &len);

		count += len == strlen(text) && memcmp(data, text, len) == 0;
	}
	return count;
}

/* One message, these bytes, this name, nothing left. */
static void assert_one(const char *name, const char *text)
{
	quiesce();
	g_assert_cmpuint(world->inbox->messages->len, ==, 1);
	g_assert_cmpuint(copies(text), ==, 1);
	g_assert_cmpuint(drafts(), ==, 0);
	g_assert_cmpuint(world_count(world), ==, 1);
	if (name)
		g_assert_cmpuint(engine_given_uid(world->engine, inbox()->box->id, name), ==,
			mailbox_at(inbox()->box, 0)->uid);
}

static void assert_one_append(const char *name, const char *text)
{
	assert_one(name, text);
	g_assert_cmpuint(world->server->appends, ==, 1);
}

static bool has_failed(void *name)
{
	const struct draft *draft = named(name);

	return draft && draft->state == DRAFT_FAILED;
}

static bool has_begun(void *user)
{
	return world->server->appends > 0;
}

/* ---- D.2: what programs send -------------------------------------------------------------------
 */

static void cp_is_one_append(void)
{
	setup();
	cp("a.eml", MAIL_A);
	assert_one_append("a.eml", MAIL_A);
	teardown();
}

/* cat > m/x: a flush of nothing comes first. */
static void a_redirection_is_one_append(void)
{
	struct draft *draft;

	setup();
	draft = create("x");
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	assert_one_append("x", MAIL_A);
	teardown();
}

/* (echo a; /bin/echo b; …) > m/x, and a writer in the background: flushes of half of it. */
static void flushes_between_writes_are_one_append(void)
{
	struct draft *draft;

	setup();
	draft = create("x");
	for (unsigned i = 0; i < 3; i++)
		g_assert_cmpint(flush(draft), ==, WORLD_OK);
	for (size_t i = 0; i < strlen(MAIL_A); i += 10) {
		g_autofree char *part = g_strndup(&MAIL_A[i], 10);

		g_assert_cmpint(write_at(draft, i, part), ==, WORLD_OK);
		g_assert_cmpint(flush(draft), ==, WORLD_OK);
	}
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	assert_one_append("x", MAIL_A);
	teardown();
}

static void dd_with_fsync_is_one_append(void)
{
	struct call call = { 0 };
	struct draft *draft;

	setup();
	draft = create("x");
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	engine_draft_sync(world->engine, draft, on_call, &call);
	g_assert_cmpint(wait_for(&call), ==, WORLD_OK);
	g_assert_cmpuint(world->server->appended, ==, 1); /* it is there when fsync answers */
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	assert_one_append("x", MAIL_A);
	teardown();
}

static void the_time_of_the_file_becomes_the_date(void)
{
	struct call call = { 0 };
	struct draft *draft;

	setup();
	draft = create("x");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	engine_draft_set_mtime(world->engine, draft, 1234567890ll * 1000000000, on_call, &call);
	g_assert_cmpint(wait_for(&call), ==, WORLD_OK);
	engine_draft_set_mode(world->engine, draft, 0400);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	assert_one_append("x", MAIL_A);
	g_assert_cmpint(
		((struct fake_message *)world->inbox->messages->pdata[0])->date, ==, 1234567890);
	teardown();
}

/* rsync -a: a temporary name, closed twice, renamed, then the time. */
static void rsync_is_one_append(void)
{
	struct call call = { 0 };
	struct draft *draft;

	setup();
	draft = create(".a.eml.XYZ");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	world_settle(world);
	engine_draft_open(world->engine, draft);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	world_settle(world);
	g_assert_cmpuint(world->server->appends, ==, 0);
	g_assert_cmpint(rename_to(draft, "INBOX", "a.eml", 0), ==, WORLD_OK);
	engine_draft_set_mtime(world->engine, draft, 1234567890ll * 1000000000, on_call, &call);
	wait_for(&call);
	assert_one_append("a.eml", MAIL_A);
	teardown();
}

/* sed -i and editors: a new file is renamed over the message. */
static void a_rename_over_a_message_replaces_it(void)
{
	struct draft *draft;

	setup();
	fake_message_add(world->inbox, 5, 100);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	draft = create("sedABC.tmp");
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	g_assert_cmpint(rename_to(draft, "INBOX", "5.eml", 5), ==, WORLD_OK);
	g_assert_true(engine_is_hidden(world->engine, inbox()->box->id, 5));
	assert_one_append("5.eml", MAIL_A);
	g_assert_null(fake_message_find(world->inbox, 5));
	teardown();
}

static void empty_files_and_temporary_names_stay(void)
{
	static const char *const names[] = { ".x", "x~", "x.swp", "x.tmp" };

	setup();
	close_it(create("empty"));
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		cp(names[i], "no message\n");
	world_settle(world);
	g_assert_cmpuint(world->server->appends, ==, 0);
	g_assert_cmpuint(drafts(), ==, 5);
	g_assert_nonnull(named("x~"));
	teardown();
}

static void flags_of_the_file_go_along(void)
{
	static const char *const words[] = { "work", NULL };
	struct fake_message *message;
	struct call call = { 0 };
	struct draft *draft;

	setup();
	draft = create("x:2,FS");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	engine_draft_change_flags(world->engine, draft,
		&(struct engine_flag_change){ .add = MAILFS_FLAG_ANSWERED, .add_keywords = words },
		on_call, &call);
	g_assert_cmpint(wait_for(&call), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	assert_one_append("x:2,FS", MAIL_A);
	message = world->inbox->messages->pdata[0];
	g_assert_cmpuint(
		message->flags, ==, MAILFS_FLAG_ANSWERED | MAILFS_FLAG_SEEN | MAILFS_FLAG_FLAGGED);
	g_assert_cmpstr(message->keywords, ==, "work");
	teardown();
}

static void line_ends_are_sent_as_crlf(void)
{
	setup();
	cp("x", "Subject: a\n\nb");
	assert_one_append("x", "Subject: a\r\n\r\nb\r\n");
	teardown();
}

/* ---- changes of the content --------------------------------------------------------------------
 */

static void content_that_changes_before_the_upload_is_one_append(void)
{
	struct draft *draft;

	begin();
	world->upload_delay_ms = 100000;
	start();
	cp("x", MAIL_A);
	draft = named("x");
	engine_draft_open(world->engine, draft);
	g_assert_cmpint(cut(draft, 0), ==, WORLD_OK);
	g_assert_cmpint(write_at(draft, 0, MAIL_B), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	engine_pending_retry(world->engine, draft->id);
	assert_one_append("x", MAIL_B);
	teardown();
}

/* WR-1: what is on its way stays what it was; the newer content takes its place. */
static void content_that_changes_during_the_upload_replaces_it(void)
{
	struct draft *draft;

	setup();
	world->server->chunk = 8;
	cp("x", MAIL_A);
	world_until(has_begun, NULL);
	draft = named("x");
	engine_draft_open(world->engine, draft);
	g_assert_cmpint(cut(draft, 0), ==, WORLD_OK);
	g_assert_cmpint(write_at(draft, 0, MAIL_B), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	assert_one("x", MAIL_B);
	g_assert_cmpuint(world->server->appends, ==, 2);
	teardown();
}

static void content_that_changes_after_the_upload_replaces_it(void)
{
	struct call call = { 0 };
	struct draft *draft;

	setup();
	draft = create("x");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	engine_draft_sync(world->engine, draft, on_call, &call);
	g_assert_cmpint(wait_for(&call), ==, WORLD_OK);
	g_assert_cmpint(cut(draft, 0), ==, WORLD_OK);
	g_assert_cmpint(write_at(draft, 0, MAIL_B), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	assert_one("x", MAIL_B);
	teardown();
}

static void a_rename_during_the_upload_gives_the_later_name(void)
{
	setup();
	world->server->chunk = 8;
	cp("x", MAIL_A);
	world_until(has_begun, NULL);
	g_assert_cmpint(rename_to(named("x"), "INBOX", "y", 0), ==, WORLD_OK);
	assert_one_append("y", MAIL_A);
	teardown();
}

static void a_rename_to_another_folder_during_the_upload_moves_it(void)
{
	struct fake_folder *other;

	begin();
	other = fake_folder_add(world->server, "Other", 9);
	start();
	g_assert_cmpint(world_open(world, "Other"), ==, WORLD_OK);
	world->server->chunk = 8;
	cp("x", MAIL_A);
	world_until(has_begun, NULL);
	g_assert_cmpint(rename_to(named("x"), "Other", "y", 0), ==, WORLD_OK);
	quiesce();
	g_assert_cmpuint(world->inbox->messages->len, ==, 0);
	g_assert_cmpuint(other->messages->len, ==, 1);
	teardown();
}

static void a_file_that_is_removed_is_not_uploaded(void)
{
	begin();
	world->upload_delay_ms = 100000;
	start();
	cp("x", MAIL_A);
	g_assert_cmpint(unlink_it(named("x")), ==, WORLD_OK);
	g_assert_null(named("x"));
	quiesce();
	g_assert_cmpuint(world->server->appends, ==, 0);
	teardown();
}

static void a_file_that_is_removed_during_the_upload_leaves_no_message(void)
{
	setup();
	world->server->chunk = 8;
	cp("x", MAIL_A);
	world_until(has_begun, NULL);
	g_assert_cmpint(unlink_it(named("x")), ==, WORLD_OK);
	quiesce();
	g_assert_cmpuint(world->inbox->messages->len, ==, 0);
	teardown();
}

static bool is_stored(void *user)
{
	return named(user)->state == DRAFT_STORED;
}

/* It is shown as being there before the index has it. */
static void a_message_that_is_removed_as_soon_as_it_is_stored_goes_to_the_trash(void)
{
	struct fake_folder *bin;

	begin();
	bin = fake_folder_add(world->server, "Bin", 30);
	bin->role = "\\Trash";
	start();
	world->server->delay = 5;
	cp("x", MAIL_A);
	world_until(is_stored, "x");
	g_assert_cmpint(unlink_it(named("x")), ==, WORLD_OK);
	quiesce();
	g_assert_cmpuint(world->inbox->messages->len, ==, 0);
	g_assert_cmpuint(bin->messages->len, ==, 1);
	g_assert_null(named("x"));
	teardown();
}

/* With delete=no it stays, as any message. */
static void a_message_that_may_not_be_removed_stays_when_it_has_just_been_stored(void)
{
	begin();
	world->delete_mode = ENGINE_DELETE_NO;
	start();
	world->server->delay = 5;
	cp("x", MAIL_A);
	world_until(is_stored, "x");
	g_assert_cmpint(unlink_it(named("x")), ==, MAILFS_ERROR_NOT_POSSIBLE);
	world->server->delay = 0;
	assert_one("x", MAIL_A);
	teardown();
}

static bool is_online(void *user)
{
	return pool_state(world->engine->pool) == ENGINE_ONLINE;
}

static bool is_alone(void *user)
{
	return fake_sessions(world->server) == 0;
}

/* Who waits is freed with its answer. */
static void a_removal_that_is_refused_at_once_is_not_waited_for(void)
{
	struct call call = { 0 };

	begin();
	world->upload_delay_ms = 100000;
	world->delete_mode = ENGINE_DELETE_EXPUNGE;
	start();
	fake_message_add(world->inbox, 5, 100);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	cp("x", MAIL_A);
	g_assert_cmpint(rename_to(named("x"), "INBOX", "5.eml", 5), ==, WORLD_OK);
	engine_go_offline(world->engine);
	world_until(is_alone, NULL);
	g_assert_cmpuint(engine_draft_unlink(world->engine, named("5.eml"), on_call, &call), ==, 0);
	g_assert_cmpint(wait_for(&call), ==, MAILFS_ERROR_OFFLINE);
	/* All is as it was, and goes when it can. */
	g_assert_true(engine_is_hidden(world->engine, inbox()->box->id, 5));
	engine_go_online(world->engine);
	world_until(is_online, NULL);
	g_assert_cmpint(unlink_it(named("5.eml")), ==, WORLD_OK);
	quiesce();
	g_assert_cmpuint(world->inbox->messages->len, ==, 0);
	g_assert_cmpuint(world->server->appends, ==, 0);
	teardown();
}

static void an_unlinked_file_is_read_and_written_until_it_is_closed(void)
{
	struct draft *draft;

	setup();
	draft = create("x");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	g_assert_cmpint(unlink_it(draft), ==, WORLD_OK);
	g_assert_true(draft->is_unlinked);
	g_assert_true(engine_draft_by_id(world->engine, draft->id) == draft);
	g_assert_cmpint(write_at(draft, 0, MAIL_B), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	quiesce();
	g_assert_cmpuint(world->server->appends, ==, 0);
	teardown();
}

static void two_files_of_equal_bytes_are_two_messages(void)
{
	setup();
	cp("x", MAIL_A);
	cp("y", MAIL_A);
	quiesce();
	g_assert_cmpuint(copies(MAIL_A), ==, 2);
	g_assert_cmpuint(world->server->appends, ==, 2);
	teardown();
}

static void a_rename_over_another_new_file_leaves_one(void)
{
	begin();
	world->upload_delay_ms = 100000;
	start();
	cp("x", MAIL_A);
	cp("y", MAIL_B);
	g_assert_cmpint(rename_to(named("y"), "INBOX", "x", 0), ==, WORLD_OK);
	g_assert_cmpuint(drafts(), ==, 1);
	engine_pending_retry(world->engine, 0);
	assert_one_append("x", MAIL_B);
	teardown();
}

static void a_rename_over_one_that_is_uploading_replaces_it(void)
{
	setup();
	world->server->chunk = 8;
	cp("y~", MAIL_B);
	cp("x", MAIL_A);
	world_until(has_begun, NULL);
	g_assert_cmpint(rename_to(named("y~"), "INBOX", "x", 0), ==, WORLD_OK);
	assert_one("x", MAIL_B);
	teardown();
}

/* ---- refusals ----------------------------------------------------------------------------------
 */

static void check_refusal(enum fake_point point, enum mailfs_error code)
{
	setup();
	fake_fail(world->server, point, code);
	cp("x", MAIL_A);
	world_until(has_failed, "x");
	g_assert_nonnull(named("x")->reason);
	g_assert_cmpuint(engine_reasons(world->engine)->len, ==, 1);
	world_restart(world);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_true(has_failed("x"));
	world_settle(world);
	g_assert_cmpuint(world->server->appends, ==, 1); /* never again by itself */
	g_assert_cmpint(engine_pending_retry(world->engine, named("x")->id), ==, 0);
	assert_one("x", MAIL_A);
	teardown();
}

static void a_refusal_keeps_the_file_and_the_reason(void)
{
	static const enum mailfs_error codes[] = { MAILFS_ERROR_QUOTA, MAILFS_ERROR_TOO_BIG,
		MAILFS_ERROR_DENIED, MAILFS_ERROR_INVALID, MAILFS_ERROR_GONE };

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		check_refusal(FAKE_APPEND, codes[i]);
		check_refusal(FAKE_APPEND_SENT, codes[i]);
	}
}

static void a_refused_file_can_be_given_up(void)
{
	uint64_t id;

	setup();
	fake_fail(world->server, FAKE_APPEND, MAILFS_ERROR_QUOTA);
	cp("x", MAIL_A);
	world_until(has_failed, "x");
	id = named("x")->id;
	g_assert_cmpint(engine_pending_drop(world->engine, id), ==, 0);
	g_assert_cmpint(engine_pending_drop(world->engine, id), !=, 0);
	quiesce();
	g_assert_cmpuint(drafts(), ==, 0);
	g_assert_cmpuint(world->server->appended, ==, 0);
	teardown();
}

static void what_is_known_to_be_refused_fails_at_close(void)
{
	struct draft *draft;

	begin();
	world->server->append_limit = 100;
	start();
	draft = create("big");
	g_assert_cmpint(write_at(draft, 100, "x"), ==, MAILFS_ERROR_TOO_BIG);
	g_assert_cmpint(write_at(draft, 50, "x"), ==, WORLD_OK); /* zeros before it */
	g_assert_cmpint(flush(draft), ==, MAILFS_ERROR_INVALID);
	close_it(draft);
	draft = create("text");
	g_assert_cmpint(write_at(draft, 0, "hello world\n"), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, MAILFS_ERROR_INVALID);
	close_it(draft);
	world_until(has_failed, "big");
	world_until(has_failed, "text");
	g_assert_cmpuint(world->server->appends, ==, 0);
	teardown();
}

static void a_full_mailbox_is_told_at_the_next_close(void)
{
	struct draft *draft;

	setup();
	fake_fail(world->server, FAKE_APPEND, MAILFS_ERROR_QUOTA);
	cp("x", MAIL_A);
	world_until(has_failed, "x");
	draft = create("y");
	g_assert_cmpint(write_at(draft, 0, MAIL_B), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, MAILFS_ERROR_QUOTA);
	close_it(draft);
	teardown();
}

static void fsync_tells_the_verdict(void)
{
	struct call call = { 0 };
	struct draft *draft;

	setup();
	fake_fail(world->server, FAKE_APPEND, MAILFS_ERROR_QUOTA);
	draft = create("x");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	engine_draft_sync(world->engine, draft, on_call, &call);
	g_assert_cmpint(wait_for(&call), ==, MAILFS_ERROR_QUOTA);
	close_it(draft);
	teardown();
}

static void a_replaced_message_stays_until_the_new_one_is_stored(void)
{
	struct draft *draft;

	setup();
	fake_message_add(world->inbox, 5, 100);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	fake_fail(world->server, FAKE_APPEND_SENT, MAILFS_ERROR_QUOTA);
	draft = create("x.tmp");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	g_assert_cmpint(rename_to(draft, "INBOX", "5.eml", 5), ==, WORLD_OK);
	world_until(has_failed, "5.eml");
	world_settle(world);
	g_assert_nonnull(fake_message_find(world->inbox, 5));
	g_assert_cmpint(engine_pending_drop(world->engine, named("5.eml")->id), ==, 0);
	g_assert_false(engine_is_hidden(world->engine, inbox()->box->id, 5));
	teardown();
}

static void replace_is_one_stroke_where_the_server_can(void)
{
	struct draft *draft;

	begin();
	world->server->has_replace = true;
	fake_message_add(world->inbox, 5, 100);
	start();
	draft = create("x.tmp");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	g_assert_cmpint(rename_to(draft, "INBOX", "5.eml", 5), ==, WORLD_OK);
	assert_one_append("5.eml", MAIL_A);
	g_assert_cmpuint(world->server->removes, ==, 0);
	teardown();
}

/* ---- unknown outcomes --------------------------------------------------------------------------
 */

static void check_lost(enum fake_point point, bool hides_uid, bool alters)
{
	begin();
	world->server->hides_appended = hides_uid;
	world->server->alters_appended = alters;
	fake_message_add(world->inbox, 3, strlen(MAIL_A));
	start();
	fake_die(world->server, point, MAILFS_ERROR_CONNECTION_LOST);
	cp("x", MAIL_A);
	quiesce();
	g_assert_cmpuint(world->inbox->messages->len, ==, 2);
	g_assert_cmpuint(world->server->appended, ==, 1);
	g_assert_cmpuint(world_count(world), ==, 2);
	g_assert_cmpuint(drafts(), ==, 0);
	g_assert_cmpuint(engine_given_uid(world->engine, inbox()->box->id, "x"), >, 3);
	teardown();
}

static void a_lost_connection_leaves_one_copy(void)
{
	for (enum fake_point point = FAKE_APPEND; point <= FAKE_APPEND_END; point++) {
		check_lost(point, false, false);
		check_lost(point, true, false);
	}
}

/* Another look at once. */
static bool is_over_at_last(void *user)
{
	outbox_online(world->engine->outbox);
	return drafts() == 0 || has_failed(user);
}

/* The message that it may be is never given. */
static void check_refused_look(const char *text, unsigned drafts_left)
{
	begin();
	start();
	fake_die(world->server, FAKE_APPEND_END, MAILFS_ERROR_CONNECTION_LOST);
	fake_fault(world->server, &(struct fake_fault){ .point = FAKE_FETCH, .code = MAILFS_ERROR_DENIED });
	cp("x", text);
	world_until(is_over_at_last, "x");
	g_assert_cmpuint(drafts(), ==, drafts_left);
	if (drafts_left > 0)
		g_assert_nonnull(strstr(named("x")->reason, "cannot be found out"));
	g_assert_cmpuint(world->server->appends, ==, 1);
	g_assert_cmpuint(world->inbox->messages->len, ==, 1);
	g_assert_cmpuint(world_count(world), ==, 1);
	teardown();
}

static void what_the_server_does_not_give_is_not_asked_for_for_ever(void)
{
	check_refused_look("Subject: nameless\r\n\r\nx\r\n", 1);
	check_refused_look(MAIL_A, 0);
}

/* Whoever moved it away meanwhile would make it go out once more. */
static bool is_hidden_until_known(void *user)
{
	const struct mailbox *box = inbox()->box;

	if (box && mailbox_count(box) > 0 && !engine_given_name(world->engine, box->id, 1)) {
		g_assert_true(engine_is_hidden(world->engine, box->id, 1));
		++*(unsigned *)user;
	}
	return drafts() == 0;
}

static void what_may_be_an_upload_is_hidden_until_it_is_known(void)
{
	unsigned hidden = 0;

	setup();
	fake_die(world->server, FAKE_APPEND_END, MAILFS_ERROR_CONNECTION_LOST);
	cp("x", MAIL_A);
	world_until(is_hidden_until_known, &hidden);
	g_assert_cmpuint(hidden, >, 0);
	g_assert_false(engine_is_hidden(world->engine, inbox()->box->id, 1));
	g_assert_cmpuint(engine_given_uid(world->engine, inbox()->box->id, "x"), ==, 1);
	teardown();
}

static void without_appenduid_it_is_found_by_its_bytes(void)
{
	begin();
	world->server->hides_appended = true;
	fake_messages_add(world->inbox, 1, 5, strlen(MAIL_A));
	start();
	cp("x", MAIL_A);
	quiesce();
	g_assert_cmpuint(world->server->appends, ==, 1);
	g_assert_cmpuint(engine_given_uid(world->engine, inbox()->box->id, "x"), ==, 6);
	teardown();
}

static void what_was_there_before_is_not_the_upload(void)
{
	setup();
	cp("x", MAIL_A);
	quiesce();
	fake_die(world->server, FAKE_APPEND_SENT, MAILFS_ERROR_CONNECTION_LOST);
	cp("y", MAIL_A);
	quiesce();
	g_assert_cmpuint(world->server->appended, ==, 2);
	g_assert_cmpuint(copies(MAIL_A), ==, 2);
	g_assert_cmpuint(drafts(), ==, 0);
	g_assert_cmpuint(engine_given_uid(world->engine, inbox()->box->id, "x"), ==, 1);
	g_assert_cmpuint(engine_given_uid(world->engine, inbox()->box->id, "y"), ==, 2);
	teardown();
}

static void one_that_the_server_altered_is_found_by_its_message_id(void)
{
	begin();
	world->want_names = true;
	world->server->hides_appended = true;
	world->server->alters_appended = true;
	start();
	fake_die(world->server, FAKE_APPEND_END, MAILFS_ERROR_CONNECTION_LOST);
	cp("x", MAIL_A);
	quiesce();
	g_assert_cmpuint(world->inbox->messages->len, ==, 1);
	g_assert_cmpuint(world->server->appends, ==, 1);
	teardown();
}

static bool is_offline(void *user)
{
	return engine_state(world->engine) != ENGINE_ONLINE;
}

static void offline_files_are_kept_and_sent_later(void)
{
	setup();
	world->server->is_down = true;
	fake_kill(world->server, MAILFS_ERROR_CONNECTION_LOST);
	world_until(is_offline, NULL);
	cp("x", MAIL_A);
	g_assert_cmpuint(drafts(), ==, 1);
	world_settle(world);
	world->server->is_down = false;
	engine_pending_retry(world->engine, 0);
	assert_one_append("x", MAIL_A);
	teardown();
}

/* ---- a full disk -------------------------------------------------------------------------------
 */

static void fill(const char *path)
{
	static const char page[4096];
	FILE *file = fopen(path, "w");

	g_assert_nonnull(file);
	setvbuf(file, NULL, _IONBF, 0);
	while (fwrite(page, sizeof(page), 1, file) == 1)
		;
	fclose(file);
}

/* The program is told, and nothing is sent that it was not told to be safe; with space it goes on.
 */
static void on_a_full_disk_the_program_is_told_and_goes_on_later(void)
{
	g_autofree char *state = NULL, *filler = NULL, *text = g_strnfill(300000, 'x');
	g_autofree char *mail = g_strconcat("Subject: a\r\n\r\n", text, "\r\n", NULL);
	struct draft *draft, *torn;
	uint64_t torn_id;

	begin();
	state = g_build_filename(world->dir, "state", NULL);
	filler = g_build_filename(state, "filler", NULL);
	g_assert_cmpint(g_mkdir(state, 0700), ==, 0);
	if (mount("tmpfs", state, "tmpfs", 0, "size=1m,mode=0700") < 0) {
		g_test_skip("cannot mount a tmpfs");
		teardown();
		return;
	}
	start();
	draft = create("x");
	torn = create("torn");
	g_assert_cmpint(write_at(torn, 0, "Subject: t\r\n\r\n"), ==, WORLD_OK);
	fill(filler);
	g_assert_cmpint(write_at(torn, 14, text), ==, MAILFS_ERROR_NO_SPACE);
	g_assert_cmpint(write_at(draft, 0, mail), ==, MAILFS_ERROR_NO_SPACE);
	g_assert_cmpuint(draft->size, ==, 0);
	g_assert_cmpint(g_unlink(filler), ==, 0);
	/* A part of a message is none: it stays here. */
	g_assert_cmpint(flush(torn), ==, MAILFS_ERROR_NO_SPACE);
	g_assert_cmpint(torn->state, ==, DRAFT_OPEN);
	torn_id = torn->id;
	close_it(torn);
	g_assert_cmpint(engine_pending_drop(world->engine, torn_id), ==, 0);
	g_assert_cmpint(write_at(draft, 0, mail), ==, WORLD_OK);
	g_assert_cmpint(flush(draft), ==, WORLD_OK);
	close_it(draft);
	assert_one_append("x", mail);
	world_stop(world);
	g_assert_cmpint(umount2(state, MNT_DETACH), ==, 0);
	teardown();
}

/* ---- restarts ----------------------------------------------------------------------------------
 */

static void a_file_that_was_never_closed_is_not_uploaded_after_a_restart(void)
{
	struct draft *draft;

	setup();
	draft = create("x");
	g_assert_cmpint(write_at(draft, 0, MAIL_A), ==, WORLD_OK);
	world_crash(world);
	start();
	world_settle(world);
	g_assert_cmpuint(drafts(), ==, 1);
	g_assert_cmpuint(named("x")->size, ==, strlen(MAIL_A));
	g_assert_cmpint(named("x")->state, ==, DRAFT_OPEN);
	g_assert_cmpuint(world->server->appends, ==, 0);
	g_assert_cmpint(engine_pending_retry(world->engine, named("x")->id), ==, 0);
	assert_one_append("x", MAIL_A);
	teardown();
}

/* Part F 14: dropped at each turn of the loop from the close to the end, and begun again. Each time
 * the same end. */
static bool run_and_crash(unsigned turns, bool is_replacing)
{
	bool was_over;

	setup();
	if (is_replacing) {
		fake_message_add(world->inbox, 1, 100);
		g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	}
	world->server->chunk = 16;
	cp(is_replacing ? "x.tmp" : "x", MAIL_A);
	if (is_replacing)
		g_assert_cmpint(rename_to(named("x.tmp"), "INBOX", "x", 1), ==, WORLD_OK);
	for (unsigned i = 0; i < turns && !is_quiet(NULL); i++)
		g_main_context_iteration(NULL, TRUE);
	was_over = is_quiet(NULL);
	world_crash(world);
	start();
	assert_one("x", MAIL_A);
	g_assert_cmpuint(world->server->appended, ==, 1);
	teardown();
	return was_over;
}

/* Many turns only wait for the disk: later on not each of them is tried. */
static void a_restart_at_any_turn_ends_the_same(void)
{
	for (unsigned turns = 0; !run_and_crash(turns, false); turns += 1 + turns / 10)
		;
}

static void a_restart_at_any_turn_of_a_replacement_ends_the_same(void)
{
	for (unsigned turns = 0; !run_and_crash(turns, true); turns += 1 + turns / 10)
		;
}

/* ---- what the user sees ------------------------------------------------------------------------
 */

static void the_name_is_there_at_every_moment_and_once(void)
{
	begin();
	world->want_names = true;
	start();
	world->server->chunk = 16;
	cp("x", MAIL_A);
	while (!is_quiet(NULL)) {
		bool is_message = engine_given_uid(world->engine, inbox()->box->id, "x") != 0;

		g_assert_cmpint(is_message, !=, named("x") != NULL);
		g_main_context_iteration(NULL, TRUE);
	}
	assert_one_append("x", MAIL_A);
	teardown();
}

static void a_read_only_account_takes_nothing(void)
{
	g_autoptr(GError) error = NULL;

	begin();
	world->is_read_only = true;
	start();
	g_assert_null(engine_draft_create(world->engine, inbox(), "x", 0600, &error));
	g_assert_error(error, MAILFS_ERROR, MAILFS_ERROR_READ_ONLY);
	g_assert_cmpuint(drafts(), ==, 0);
	teardown();
}

static void on_flushed(void *user)
{
	on_call(user, NULL);
}

static void an_unmount_sends_what_waits(void)
{
	struct call call = { 0 };

	begin();
	world->upload_delay_ms = 100000;
	start();
	cp("x", MAIL_A);
	engine_flush(world->engine, 10000, on_flushed, &call);
	wait_for(&call);
	assert_one_append("x", MAIL_A);
	teardown();
}

int main(int argc, char **argv)
{
	own_mounts();
	g_test_init(&argc, &argv, NULL);
	/* It is killed and started often: spare it the disk. */
	if (!g_getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		g_setenv("TMPDIR", "/dev/shm", TRUE);
#define T(id, name) g_test_add_func("/engine/outbox/" id #name, name)
	T("WR-1 ", cp_is_one_append);
	T("WR-1 ", a_redirection_is_one_append);
	T("WR-1 ", flushes_between_writes_are_one_append);
	T("WR-1 ", dd_with_fsync_is_one_append);
	T("WR-1 ", the_time_of_the_file_becomes_the_date);
	T("WR-1 ", rsync_is_one_append);
	T("WR-9 ", a_rename_over_a_message_replaces_it);
	T("WR-1 ", empty_files_and_temporary_names_stay);
	T("", flags_of_the_file_go_along);
	T("WR-2 ", line_ends_are_sent_as_crlf);
	T("WR-1 ", content_that_changes_before_the_upload_is_one_append);
	T("WR-1 ", content_that_changes_during_the_upload_replaces_it);
	T("WR-1 ", content_that_changes_after_the_upload_replaces_it);
	T("WR-1 ", a_rename_during_the_upload_gives_the_later_name);
	T("WR-1 ", a_rename_to_another_folder_during_the_upload_moves_it);
	T("WR-6 ", a_file_that_is_removed_is_not_uploaded);
	T("WR-6 ", a_file_that_is_removed_during_the_upload_leaves_no_message);
	T("WR-6 ", a_message_that_is_removed_as_soon_as_it_is_stored_goes_to_the_trash);
	T("WR-6 ", a_message_that_may_not_be_removed_stays_when_it_has_just_been_stored);
	T("WR-9 ", a_removal_that_is_refused_at_once_is_not_waited_for);
	T("WR-6 ", an_unlinked_file_is_read_and_written_until_it_is_closed);
	T("WR-5 ", two_files_of_equal_bytes_are_two_messages);
	T("", a_rename_over_another_new_file_leaves_one);
	T("", a_rename_over_one_that_is_uploading_replaces_it);
	T("WR-2 ", a_refusal_keeps_the_file_and_the_reason);
	T("WR-2 ", a_refused_file_can_be_given_up);
	T("WR-2 ", what_is_known_to_be_refused_fails_at_close);
	T("WR-2 ", a_full_mailbox_is_told_at_the_next_close);
	T("WR-2 ", fsync_tells_the_verdict);
	T("WR-9 ", a_replaced_message_stays_until_the_new_one_is_stored);
	T("WR-9 ", replace_is_one_stroke_where_the_server_can);
	T("WR-5 ", a_lost_connection_leaves_one_copy);
	T("WR-5 ", what_the_server_does_not_give_is_not_asked_for_for_ever);
	T("WR-5 ", what_may_be_an_upload_is_hidden_until_it_is_known);
	T("WR-5 ", without_appenduid_it_is_found_by_its_bytes);
	T("WR-5 ", what_was_there_before_is_not_the_upload);
	T("WR-4 ", one_that_the_server_altered_is_found_by_its_message_id);
	T("WR-5 ", offline_files_are_kept_and_sent_later);
	T("", on_a_full_disk_the_program_is_told_and_goes_on_later);
	T("", a_file_that_was_never_closed_is_not_uploaded_after_a_restart);
	T("WR-5 ", a_restart_at_any_turn_ends_the_same);
	T("WR-5 ", a_restart_at_any_turn_of_a_replacement_ends_the_same);
	T("", the_name_is_there_at_every_moment_and_once);
	T("", a_read_only_account_takes_nothing);
	T("", an_unmount_sends_what_waits);
	return g_test_run();
}
