/* SPDX-License-Identifier: MIT */
/* One account: its start, its end, and what holds its parts together. Loop thread. */
#include "engine/engine.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/gate.h"
#include "engine/fill.h"
#include "engine/internal.h"
#include "engine/prefetch.h"

#define CATCH_UP_MS      2000u /* a mount does not wait longer for news of known folders */
#define CATCH_UP_FOLDERS 20u

/* ---- start ------------------------------------------------------------------------------------- */

void engine_tell_started(struct engine *engine, const GError *error)
{
	if (engine->was_started)
		return;
	engine->was_started = true;
	g_clear_handle_id(&engine->catch_up_timer, g_source_remove);
	g_clear_handle_id(&engine->start_timer, g_source_remove);
	engine->events.started(engine->user, error);
	if (error)
		return;
	outbox_online(engine->outbox);
	vault_online(engine->vault);
}

static gboolean on_catch_up_timeout(gpointer user)
{
	struct engine *engine = user;

	engine->catch_up_timer = 0;
	engine_tell_started(engine, NULL);
	return G_SOURCE_REMOVE;
}

/* Folders that the index knows and the server has news of are brought up to date before the mount
 * shows them, within a bound: afterwards nothing of them waits for the network. */
static void catch_up(struct engine *engine)
{
	const GPtrArray *rows = store_folders(engine->config.store);

	engine->catching_up = 1;
	for (guint i = 0; i < rows->len && engine->catching_up < CATCH_UP_FOLDERS; i++) {
		const struct store_folder *row = g_ptr_array_index(rows, i);
		struct folder *folder = tree_by_name(engine->tree, row->name);

		if (folder && row->listing_ns != 0 && syncer_has_news(folder, row))
			syncer_catch_up(engine, folder);
	}
	if (engine->catch_up_timer == 0)
		engine->catch_up_timer = g_timeout_add(CATCH_UP_MS, on_catch_up_timeout, engine);
	engine_caught_up(engine);
}

void engine_caught_up(struct engine *engine)
{
	if (--engine->catching_up == 0)
		engine_tell_started(engine, NULL);
}

static void on_first_listing(void *user, const GError *error)
{
	struct engine *engine = user;

	if (engine->was_started)
		return;
	if (error && listing_count(engine->listing) == 0)
		engine_tell_started(engine, error);
	else if (error)
		engine_tell_started(engine, NULL);
	else
		catch_up(engine);
}

static bool is_fatal_at_start(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_LOGIN) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_TLS) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_INVALID);
}

/* ---- the pool tells ---------------------------------------------------------------------------- */

static void on_ready(void *user, const struct mailfs_server_info *info)
{
	struct engine *engine = user;

	g_free(engine->server_id);
	g_free(engine->server_keeps);
	g_free(engine->tls);
	g_free(engine->auth);
	engine->server_id = g_strdup(info->server_id);
	engine->server_keeps = g_strdup(info->keeps);
	engine->tls = NULL;
	if (info->tls_version)
		engine->tls = g_strjoin(" ", info->tls_version, info->tls_cipher, NULL);
	engine->auth = g_strdup(info->auth);
	engine->can_range = info->can_range;
	engine->append_limit = info->append_limit;
	online_ready(engine);
	watch_ready(engine->watch, info);
}

static void on_failed(void *user, const GError *error)
{
	struct engine *engine = user;

	log_info("engine", "%s: %s", engine->config.account, error->message);
	if (pool_state(engine->pool) == ENGINE_LOGIN_REFUSED)
		online_refused(engine);
	if (engine->was_started)
		return;
	if (listing_count(engine->listing) > 0 && !is_fatal_at_start(error))
		engine_tell_started(engine, NULL);
	else
		engine_tell_started(engine, error);
}

static void on_state(void *user, enum engine_state state)
{
	struct engine *engine = user;

	if (state == ENGINE_ONLINE) {
		engine->online_since = clock_realtime_ns() / 1000000000;
		/* Events were missed while nobody listened. */
		if (engine->was_started)
			watch_look(engine->watch);
		changes_online(engine);
	} else {
		engine->online_since = 0;
	}
	engine->events.state_changed(engine->user, state);
}

static void on_folder_changed(void *user, const char *name)
{
	watch_folder_changed(((struct engine *)user)->watch, name);
}

static void on_folder_status(void *user, const struct mailfs_status *status)
{
	watch_folder_status(((struct engine *)user)->watch, status);
}

static void on_tree_changed(void *user)
{
	watch_tree_changed(((struct engine *)user)->watch);
}

static void on_watch_failed(void *user, const char *folder, const GError *error)
{
	watch_failed(((struct engine *)user)->watch, folder, error);
}

static void on_link(void *user)
{
	struct engine *engine = user;
	char text[64];

	link_format(&engine->link, clock_realtime_ns() / 1000000000, text, sizeof(text));
	store_put_link(engine->config.store, text);
}

static void on_reason(void *user, const char *text)
{
	engine_add_reason(user, "%s", text);
}

/* ---- life -------------------------------------------------------------------------------------- */

static void start_link(struct engine *engine)
{
	bool is_auto = engine->config.auto_compress;

	link_init(&engine->link, engine->config.server.want_compress ? LINK_ALWAYS :
		is_auto ? LINK_AUTO : LINK_NEVER);
	link_restore(&engine->link, store_get_link(engine->config.store),
		clock_realtime_ns() / 1000000000, clock_monotonic_us());
}

static char *describe_server(const struct engine_config *config)
{
	const struct mailfs_backend_config *server = &config->server;
	g_autofree char *user = g_uri_escape_string(server->user ? server->user : "", NULL, TRUE);

	return g_strdup_printf("%s%s://%s@%s:%u", config->backend->name,
		server->tls == MAILFS_TLS_IMPLICIT ? "s" : "", user, server->host ? server->host : "",
		server->port);
}

struct engine *engine_new(const struct engine_config *config, const struct engine_events *events,
	void *user)
{
	struct engine *engine = g_new0(struct engine, 1);

	engine->config = *config;
	engine->events = *events;
	engine->user = user;
	engine->server = describe_server(config);
	start_link(engine);
	if (config->server.secret.get) {
		engine->gate = gate_new(&config->server.secret);
		engine->config.server.secret = gate_source(engine->gate);
	}
	engine->waiters = g_hash_table_new(g_int64_hash, g_int64_equal);
	engine->all_syncs = g_hash_table_new(NULL, NULL);
	engine->refreshes = g_ptr_array_new_with_free_func(refresh_free);
	engine->reasons = g_ptr_array_new_with_free_func(g_free);
	engine->tree = tree_new();
	engine->listing = listing_new(engine);
	engine->fetcher = fetcher_new(engine);
	engine->fill = fill_new(engine);
	engine->changer = changer_new(engine);
	engine->mover = mover_new(engine);
	engine->names = names_new(engine);
	engine->outbox = outbox_new(engine);
	engine->vault = vault_new(engine);
	engine->watch = watch_new(engine);
	engine->folder_changes = g_ptr_array_new_with_free_func(folder_change_free);
	if (!config->no_prefetch)
		engine->prefetch = prefetch_new(engine);
	engine->pool = pool_new(
		&(struct pool_config){
			.backend = config->backend,
			.server = &engine->config.server,
			.connections = (config->backend->traits & MAILFS_TRAIT_EXCLUSIVE) != 0 ? 1
				: MAX(config->connections, 1),
			.link = &engine->link,
		},
		&(struct pool_events){
			.ready = on_ready,
			.failed = on_failed,
			.state = on_state,
			.folder_changed = on_folder_changed,
			.folder_status = on_folder_status,
			.tree_changed = on_tree_changed,
			.watch_failed = on_watch_failed,
			.reason = on_reason,
			.link = on_link,
		},
		engine);
	return engine;
}

/* While the login goes on, the disk has nothing to do. */
static void preload(struct engine *engine)
{
	struct folder *inbox = tree_by_name(engine->tree, "INBOX");

	if (inbox)
		syncer_preload(engine, inbox);
}

void engine_start(struct engine *engine)
{
	listing_from_store(engine->listing);
	changes_start(engine);
	preload(engine);
	listing_refresh(engine->listing, on_first_listing, engine);
	watch_start(engine->watch);
	/* Never from inside this call. */
	if (engine->config.delay_connect)
		engine->catch_up_timer = g_timeout_add(0, on_catch_up_timeout, engine);
	else if (listing_count(engine->listing) > 0)
		online_start(engine);
}

static void on_pool_stopped(void *user)
{
	struct engine *engine = user;

	engine_fail_waiters(engine);
	engine->stopped(engine->stopped_user);
}

void engine_stop(struct engine *engine, void (*stopped)(void *user), void *user)
{
	engine->was_started = true; /* whoever stops does not want to hear of it any more */
	engine->stopped = stopped;
	engine->stopped_user = user;
	watch_stop(engine->watch);
	g_clear_handle_id(&engine->catch_up_timer, g_source_remove);
	g_clear_handle_id(&engine->start_timer, g_source_remove);
	pool_stop(engine->pool, on_pool_stopped, engine);
}

/* The pool goes first: then no request is under way, whatever was. */
void engine_free(struct engine *engine)
{
	engine->is_freeing = true;
	g_clear_handle_id(&engine->catch_up_timer, g_source_remove);
	g_clear_handle_id(&engine->pressure_timer, g_source_remove);
	g_clear_handle_id(&engine->unload_source, g_source_remove);
	g_clear_handle_id(&engine->trim_timer, g_source_remove);
	g_clear_handle_id(&engine->last_try, g_source_remove);
	engine_forget_waiters(engine);
	pool_free(engine->pool);
	online_free(engine);
	listing_free(engine->listing);
	mover_free(engine->mover);
	changer_free(engine->changer);
	names_free(engine->names);
	outbox_free(engine->outbox);
	vault_free(engine->vault);
	g_ptr_array_unref(engine->folder_changes);
	syncer_free_all(engine);
	fill_free(engine->fill);
	watch_free(engine->watch);
	fetcher_free(engine->fetcher);
	if (engine->prefetch)
		prefetch_free(engine->prefetch);
	tree_free(engine->tree, NULL, NULL);
	g_hash_table_unref(engine->all_syncs);
	g_ptr_array_unref(engine->refreshes);
	g_hash_table_unref(engine->waiters);
	g_ptr_array_unref(engine->reasons);
	g_free(engine->server);
	g_free(engine->server_id);
	g_free(engine->server_keeps);
	g_free(engine->tls);
	g_free(engine->auth);
	g_free(engine->compression);
	g_free(engine);
}

/* ---- for those above --------------------------------------------------------------------------- */

enum engine_state engine_state(const struct engine *engine)
{
	return pool_state(engine->pool);
}

struct tree *engine_tree(struct engine *engine)
{
	return engine->tree;
}

/* True: `done` was told, there are no messages to wait for. */
static bool is_opened_at_once(struct engine *engine, const struct folder *folder,
	engine_done_fn done, void *user)
{
	g_autoptr(GError) error = NULL;

	/* An empty account would be a lie. */
	if (!listing_is_known(engine->listing))
		error = g_error_new(MAILFS_ERROR, online_excuse(engine), "the folders are not known yet");
	if (!error && (folder->flags & MAILFS_FOLDER_NOSELECT) == 0)
		return false;
	done(user, error);
	return true;
}

engine_ticket engine_open_folder(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user)
{
	return is_opened_at_once(engine, folder, done, user) ? 0 :
		syncer_open(engine, folder, done, user);
}

engine_ticket engine_open_listing(struct engine *engine, struct folder *folder, uint32_t above,
	engine_done_fn done, void *user)
{
	return is_opened_at_once(engine, folder, done, user) ? 0 :
		syncer_open_listing(engine, folder, above, done, user);
}

engine_ticket engine_read(struct engine *engine, uint32_t box_id, uint32_t uid,
	struct mailfs_range range, body_read_fn done, void *user)
{
	return fetcher_read(engine->fetcher, box_id, uid, range, done, user);
}

engine_ticket engine_make_exact(struct engine *engine, uint32_t box_id, uint32_t uid,
	engine_done_fn done, void *user)
{
	return fetcher_make_exact(engine->fetcher, box_id, uid, done, user);
}

void engine_note_open(struct engine *engine, uint32_t box_id, uint32_t uid)
{
	fetcher_note_open(engine->fetcher, box_id, uid);
}

void engine_fill(struct engine *engine, const struct folder *folder, bool is_lasting)
{
	fill_start(engine->fill, folder, is_lasting);
}

void engine_clear_cache(struct engine *engine, engine_done_fn done, void *user)
{
	store_clear_bodies(engine->config.store, done, user);
}

void engine_count_cache(struct engine *engine, engine_done_fn done, void *user)
{
	store_count_bodies(engine->config.store, done, user);
}

struct body *engine_hold(struct engine *engine, uint32_t box_id, uint32_t uid)
{
	return body_open(engine->config.store, box_id, uid);
}

void engine_release(struct engine *engine, struct body *held)
{
	body_unref(held);
}

void engine_read_held(struct engine *engine, struct body *held, struct mailfs_range range,
	body_read_fn done, void *user)
{
	g_autoptr(GError) error = NULL;

	if (body_covers(held, range)) {
		body_read(held, range, done, user);
		return;
	}
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_STALE, "the message is no more");
	done(user, NULL, error);
}

uint64_t engine_held_size(const struct body *held)
{
	return body_is_ready(held) && body_is_complete(held) ? body_size(held) : UINT64_MAX;
}

void engine_load_names(struct engine *engine, uint32_t box_id, uint32_t after_uid, size_t limit,
	store_names_fn done, void *user)
{
	store_load_names(engine->config.store, box_id, after_uid, limit, done, user);
}

void engine_load_details(struct engine *engine, uint32_t box_id, uint32_t uid,
	store_details_fn done, void *user)
{
	store_load_details(engine->config.store, box_id, uid, done, user);
}

void engine_tell_news(struct engine *engine, enum engine_news_kind kind, const struct folder *folder,
	uint32_t uid, const char *name, bool is_own)
{
	const struct engine_news news = {
		.kind = kind,
		.folder = folder,
		.uid = uid,
		.name = name,
		.is_own = is_own,
	};

	if (engine->events.news && engine->was_started && !engine->is_freeing)
		engine->events.news(engine->user, &news);
}

/* ---- what the server is believed --------------------------------------------------------------- */

bool engine_has_rough_sizes(const struct engine *engine)
{
	return (engine->config.backend->traits & MAILFS_TRAIT_ROUGH_SIZES) != 0;
}

bool engine_is_unproven(const struct engine *engine)
{
	struct store_trust trust = store_get_trust(engine->config.store);

	return engine_has_rough_sizes(engine) || trust.is_liar || trust.proven < STORE_TRUST_PROVEN;
}

void engine_distrust(struct engine *engine)
{
	struct store_trust trust = store_get_trust(engine->config.store);

	if (trust.is_liar)
		return;
	trust.is_liar = true;
	store_put_trust(engine->config.store, trust);
}

void engine_bytes_changed(struct engine *engine, const struct folder *folder, uint32_t uid)
{
	if (engine->events.message_bytes_changed)
		engine->events.message_bytes_changed(engine->user, folder, uid);
}
