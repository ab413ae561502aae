/* SPDX-License-Identifier: MIT */
/* What the tests of the engine share. */
#include "engine_world.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/post.h"

/* ---- the loop -------------------------------------------------------------------------------- */

static gboolean on_patience_end(gpointer user)
{
	g_error("the loop turned for 20 s without the claim becoming true");
	return G_SOURCE_REMOVE;
}

void world_until(world_claim_fn claim, void *user)
{
	guint patience = g_timeout_add_seconds(20, on_patience_end, NULL);

	while (!claim(user))
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(patience);
}

void world_turns(unsigned count)
{
	while (count-- > 0)
		g_main_context_iteration(NULL, FALSE);
}

static bool is_set(void *flag)
{
	return *(bool *)flag;
}

static void on_names(void *user, size_t count, const uint32_t *uids, const char *const *names)
{
	*(bool *)user = true;
}

void world_settle(struct world *world)
{
	for (unsigned i = 0; i < 4; i++) {
		bool is_there = false;

		for (unsigned n = 0; n < 3000 && g_main_context_iteration(NULL, FALSE); n++)
			;
		store_load_names(world->store, 1, 0, 1, on_names, &is_there);
		world_until(is_set, &is_there);
	}
}

/* ---- events ---------------------------------------------------------------------------------- */

static int code_of(const GError *error)
{
	return error ? error->code : WORLD_OK;
}

static void on_started(void *user, const GError *error)
{
	struct world *world = user;

	g_assert(!world->is_freed);
	world->started++;
	world->started_code = code_of(error);
}

static void on_listing(void *user, const struct folder *folder)
{
	g_assert_nonnull(folder);
	((struct world *)user)->listings++;
}

static void on_message(void *user, const struct folder *folder, uint32_t uid)
{
	((struct world *)user)->messages_changed++;
}

static void on_bytes(void *user, const struct folder *folder, uint32_t uid)
{
	((struct world *)user)->bytes_changed++;
}

static bool on_came(void *user, const struct folder *folder, uint32_t uid, unsigned nth,
	GBytes *bytes)
{
	struct world *world = user;

	g_assert_nonnull(folder);
	g_assert_cmpuint(nth, >, 0);
	if (!world->keeps_bytes || (world->leaves_out > 0 && nth % world->leaves_out == 0))
		return false;
	g_hash_table_insert(world->kept, GUINT_TO_POINTER(uid), g_bytes_ref(bytes));
	return true;
}

static void on_gone(void *user, const struct folder *folder, uint32_t uid)
{
	((struct world *)user)->messages_gone++;
}

static void on_box_gone(void *user, const struct folder *folder, uint32_t box_id)
{
	struct world *world = user;

	world->boxes_gone++;
	world->box_gone_id = box_id;
}

static void on_state(void *user, enum engine_state state)
{
	((struct world *)user)->states[state]++;
}

/* ---- life ------------------------------------------------------------------------------------ */

static char *component(const char *bytes, size_t len, bool is_top)
{
	char *text = g_strndup(bytes, len);

	return g_strdelimit(text, "/", '%');
}

static uint32_t give_name(void *user, uint32_t uid, int64_t date, const struct mailfs_head *head,
	char *name)
{
	struct world *world = user;

	world->names_given++;
	g_snprintf(name, 256, "%s.%u.eml", head->subject, uid);
	return g_str_hash(name) | 1;
}

struct world *world_new(void)
{
	struct world *world = g_new0(struct world, 1);

	log_set_level(LOG_ERROR);
	post_workers_start(2);
	world->dir = g_dir_make_tmp("mailfs-engine-XXXXXX", NULL);
	world->connections = 3;
	world->server = fake_server_new();
	world->inbox = fake_folder_add(world->server, "INBOX", 7);
	world->started_code = -2;
	world->kept = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_bytes_unref);
	return world;
}

void world_open_store(struct world *world)
{
	g_autofree char *state = g_build_filename(world->dir, "state", NULL);
	g_autoptr(GError) error = NULL;

	if (world->store)
		return;
	world->store = store_open(&(struct store_config){
		.dir = world->dir,
		.identity = "imap://me@fake:993",
		.max_bytes = world->cache_max > 0 ? world->cache_max : 1 << 30,
	}, &error);
	g_assert_no_error(error);
	if (world->journal)
		return;
	world->journal = journal_open(&(struct journal_config){
		.dir = state,
		.identity = "imap://me@fake:993",
		.is_read_only = world->is_read_only,
	}, &error);
	g_assert_no_error(error);
}

static bool on_is_in_use(void *user, const struct folder *folder)
{
	return g_strcmp0(((struct world *)user)->used, folder->path) == 0;
}

void world_launch(struct world *world)
{
	static const struct engine_events events = {
		.started = on_started,
		.listing_changed = on_listing,
		.message_changed = on_message,
		.message_bytes_changed = on_bytes,
		.message_came = on_came,
		.message_gone = on_gone,
		.box_gone = on_box_gone,
		.state_changed = on_state,
		.is_in_use = on_is_in_use,
	};

	world_open_store(world);
	world->is_freed = world->is_stopped = false;
	world->engine = engine_new(&(struct engine_config){
		.backend = world->backend ? world->backend : &fake_backend,
		.journal = world->journal,
		.is_read_only = world->is_read_only,
		.is_flags_sync = world->is_flags_sync,
		.confirms_each = world->confirms_each,
		.delete_mode = world->delete_mode,
		.account = "test",
		.identity = "imap://me@fake:993",
		.store = world->store,
		.component = component,
		.name = world->want_names ? give_name : NULL,
		.name_user = world,
		.connections = world->connections,
		.server = { .want_compress = world->want_compress },
		.auto_compress = world->auto_compress,
		.no_prefetch = !world->want_prefetch,
		.delay_connect = world->delay_connect,
		.loaded_max = world->loaded_max,
		.upload_delay_ms = world->upload_delay_ms,
		.poll_seconds = world->poll_seconds,
	}, &events, world);
	engine_start(world->engine);
}

static bool is_started(void *user)
{
	return ((struct world *)user)->started > 0;
}

void world_start(struct world *world)
{
	world->started = 0;
	world_launch(world);
	world_until(is_started, world);
}

static void on_stopped(void *user)
{
	struct world *world = user;

	g_assert(!world->is_stopped);
	world->is_stopped = true;
}

void world_stop(struct world *world)
{
	if (world->engine) {
		engine_stop(world->engine, on_stopped, world);
		world_until(is_set, &world->is_stopped);
		engine_free(world->engine);
		world->engine = NULL;
		world->is_freed = true;
		world_settle(world); /* nothing may come any more */
	}
	g_clear_pointer(&world->journal, journal_close);
	g_clear_pointer(&world->store, store_close);
}

void world_crash(struct world *world)
{
	engine_free(world->engine);
	world->engine = NULL;
	world->is_freed = true;
	world_settle(world);
	g_clear_pointer(&world->journal, journal_close);
	g_clear_pointer(&world->store, store_close);
}

void world_restart(struct world *world)
{
	world_stop(world);
	world_start(world);
}

static void remove_tree(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		remove_tree(child);
	}
	if (dir)
		g_dir_close(dir);
	g_remove(path);
}

void world_forget_index(struct world *world)
{
	static const char *const names[] = { "index.db", "index.db-wal", "index.db-shm" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(world->dir, names[i], NULL);

		g_remove(path);
	}
}

void world_free(struct world *world)
{
	world_stop(world);
	post_workers_stop();
	clock_fake(0);
	fake_server_free(world->server);
	g_hash_table_unref(world->kept);
	remove_tree(world->dir);
	g_free(world->dir);
	g_free(world);
}

/* ---- folders --------------------------------------------------------------------------------- */

struct folder *world_folder(struct world *world, const char *path)
{
	struct folder *folder = tree_by_shown_path(engine_tree(world->engine), path);

	g_assert_nonnull(folder);
	return folder;
}

void answer_take(void *user, const GError *error)
{
	struct answer *answer = user;

	answer->count++;
	answer->code = code_of(error);
}

bool answer_is_there(void *user)
{
	return ((struct answer *)user)->count > 0;
}

bool world_has_reason(struct world *world, const char *text)
{
	const GPtrArray *reasons = engine_reasons(world->engine);

	for (guint i = 0; i < reasons->len; i++) {
		if (strstr(g_ptr_array_index(reasons, i), text))
			return true;
	}
	return false;
}

int world_open(struct world *world, const char *path)
{
	struct answer answer = { 0 };

	engine_open_folder(world->engine, world_folder(world, path), answer_take, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpuint(answer.count, ==, 1);
	return answer.code;
}

int world_refresh(struct world *world, const char *path)
{
	struct answer answer = { 0 };

	engine_refresh(world->engine, path ? world_folder(world, path) : NULL, answer_take, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpuint(answer.count, ==, 1);
	return answer.code;
}

static uint32_t inbox_id(struct world *world)
{
	struct folder *folder = world_folder(world, "INBOX");

	g_assert_nonnull(folder->box);
	return folder->box->id;
}

int world_exact(struct world *world, uint32_t uid)
{
	struct answer answer = { 0 };

	engine_make_exact(world->engine, inbox_id(world), uid, answer_take, &answer);
	world_until(answer_is_there, &answer);
	g_assert_cmpuint(answer.count, ==, 1);
	return answer.code;
}

struct message *world_message(struct world *world, uint32_t uid)
{
	struct folder *folder = world_folder(world, "INBOX");

	return folder->box ? mailbox_find(folder->box, uid) : NULL;
}

uint32_t world_count(struct world *world)
{
	struct folder *folder = world_folder(world, "INBOX");

	return folder->box ? mailbox_count(folder->box) : 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void on_slice(void *user, const struct body_slice *slice, const GError *error)
{
	struct reading *reading = user;

	reading->answers++;
	reading->code = code_of(error);
	if (error)
		return;
	if (slice->bytes) {
		g_byte_array_append(reading->bytes,
			(const guint8 *)g_bytes_get_data(slice->bytes, NULL) + slice->offset,
			(guint)slice->len);
	} else if (slice->len > 0) {
		guint at = reading->bytes->len;

		g_byte_array_set_size(reading->bytes, at + (guint)slice->len);
		g_assert_cmpint(pread(slice->fd, reading->bytes->data + at, slice->len,
					(off_t)slice->offset),
			==, (gssize)slice->len);
	}
}

struct reading *world_read_begin(struct world *world, uint32_t uid, uint64_t offset, uint64_t len)
{
	struct reading *reading = g_new0(struct reading, 1);

	reading->bytes = g_byte_array_new();
	reading->ticket = engine_read(world->engine, inbox_id(world), uid,
		(struct mailfs_range){ offset, len }, on_slice, reading);
	g_assert((reading->ticket == 0) == (reading->answers > 0));
	return reading;
}

bool reading_is_over(void *user)
{
	return ((struct reading *)user)->answers > 0;
}

void reading_free(struct reading *reading)
{
	g_assert_cmpuint(reading->answers, <=, 1);
	g_byte_array_unref(reading->bytes);
	g_free(reading);
}

int world_read(struct world *world, uint32_t uid, uint64_t offset, uint64_t len, GByteArray *bytes)
{
	struct reading *reading = world_read_begin(world, uid, offset, len);
	int code;

	world_until(reading_is_over, reading);
	code = reading->code;
	g_assert_cmpuint(reading->bytes->len, <=, len);
	if (bytes)
		g_byte_array_append(bytes, reading->bytes->data, reading->bytes->len);
	reading_free(reading);
	return code;
}

int world_cat(struct world *world, uint32_t uid)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	gsize size;
	const void *want;
	guint before;

	do {
		int code;

		before = bytes->len;
		code = world_read(world, uid, bytes->len, 128 * 1024, bytes);
		if (code != WORLD_OK)
			return code;
	} while (bytes->len > before);
	want = g_bytes_get_data(fake_message_find(world->inbox, uid)->body, &size);
	g_assert_cmpmem(bytes->data, bytes->len, want, size);
	return WORLD_OK;
}

void world_earn_trust(struct world *world)
{
	fake_messages_add(world->inbox, 900001, 900032, 500);
	g_assert_cmpint(world_open(world, "INBOX"), ==, WORLD_OK);
	g_assert_cmpint(world_refresh(world, "INBOX"), ==, WORLD_OK);
	for (uint32_t uid = 900001; uid <= 900032; uid++)
		g_assert_cmpint(world_cat(world, uid), ==, WORLD_OK);
	g_assert_false(engine_is_unproven(world->engine));
}
