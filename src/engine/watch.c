/* SPDX-License-Identifier: MIT */
/*
 * News without being asked. Who is listened to: the whole account by NOTIFY where the server has it;
 * else INBOX and the folders used last by IDLE, as many as there are connections to spare; all others
 * are asked now and then (watch_look.c). Loop thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/watch_impl.h"

#define RECENT_US   (1800 * G_USEC_PER_SEC) /* a folder opened so lately is in use */
#define TICK_S      15u
#define TREE_MS     200u
#define REFUSED_US  (3600ll * G_USEC_PER_SEC) /* the server does not do it */
#define FAILED_US   (600 * G_USEC_PER_SEC)  /* it may pass */

/* ---- folders ----------------------------------------------------------------------------------- */

struct interest *watch_interest(struct watch *watch, const char *name)
{
	struct interest *interest = g_hash_table_lookup(watch->interests, name);

	if (interest)
		return interest;
	interest = g_new0(struct interest, 1);
	interest->watch = watch;
	interest->name = g_strdup(name);
	g_hash_table_insert(watch->interests, interest->name, interest);
	return interest;
}

static void interest_free(gpointer data)
{
	struct interest *interest = data;

	g_free(interest->name);
	g_free(interest);
}

/* INBOX is, once its messages are known: somebody may wait for mail without looking. */
bool watch_is_tracked(const struct folder *folder)
{
	if ((folder->flags & MAILFS_FOLDER_NOSELECT) != 0)
		return false;
	return syncer_is_in_use(folder) ||
		((folder->flags & MAILFS_FOLDER_INBOX) != 0 && folder->box_id != 0);
}

/* ---- the plan ---------------------------------------------------------------------------------- */

static bool is_recent(const struct engine *engine, const struct folder *folder)
{
	int64_t used_us = syncer_used_us(folder);

	if (used_us != 0 && clock_monotonic_us() - used_us < RECENT_US)
		return true;
	return engine->events.is_in_use && engine->events.is_in_use(engine->user, folder);
}

static void add_folder(struct watch *watch, GPtrArray *names, const struct folder *folder)
{
	unsigned most = MAX(pool_sessions_max(watch->engine->pool), 2) - 1; /* one stays for other work */
	struct interest *interest;

	if (names->len >= most || (folder->flags & MAILFS_FOLDER_NOSELECT) != 0)
		return;
	interest = watch_interest(watch, folder->name);
	if (clock_monotonic_us() < interest->rest_us || g_hash_table_contains(watch->plan, interest->name))
		return;
	g_hash_table_add(watch->plan, interest->name);
	g_ptr_array_add(names, interest->name);
}

static int compare_use(gconstpointer a, gconstpointer b)
{
	int64_t used_a = syncer_used_us(*(struct folder *const *)a);
	int64_t used_b = syncer_used_us(*(struct folder *const *)b);

	return used_a < used_b ? 1 : used_a > used_b ? -1 : 0;
}

/* INBOX first, then by use. */
static void plan_folders(struct watch *watch, GPtrArray *names)
{
	struct engine *engine = watch->engine;
	g_autoptr(GPtrArray) used = g_ptr_array_new();
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, engine->tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct folder *folder = value;

		if ((folder->flags & MAILFS_FOLDER_INBOX) != 0)
			add_folder(watch, names, folder);
		else if (syncer_is_in_use(folder) && is_recent(engine, folder))
			g_ptr_array_add(used, folder);
	}
	g_ptr_array_sort(used, compare_use);
	for (guint i = 0; i < used->len; i++)
		add_folder(watch, names, g_ptr_array_index(used, i));
}

static void replan(struct watch *watch)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	struct pool_watch_plan plan = {
		.is_account = watch->can_notify && clock_monotonic_us() >= watch->notify_rest_us,
		.can_idle = watch->can_idle && clock_monotonic_us() >= watch->idle_rest_us,
	};

	g_hash_table_remove_all(watch->plan);
	if (!plan.is_account && plan.can_idle)
		plan_folders(watch, names);
	g_ptr_array_add(names, NULL);
	plan.folders = (const char *const *)names->pdata;
	pool_set_watch_plan(watch->engine->pool, &plan);
}

static gboolean on_plan(gpointer user)
{
	struct watch *watch = user;

	watch->plan_source = 0;
	replan(watch);
	return G_SOURCE_REMOVE;
}

/* From the loop: the tree may be in the middle of a change. */
void watch_replan(struct watch *watch)
{
	if (watch->is_running && watch->plan_source == 0)
		watch->plan_source = g_idle_add(on_plan, watch);
}

void watch_note_use(struct watch *watch, const struct folder *folder)
{
	if (!g_hash_table_contains(watch->plan, folder->name))
		watch_replan(watch);
}

/* Folders fall out of use, and the machine sleeps. */
static gboolean on_tick(gpointer user)
{
	struct watch *watch = user;

	if (pool_notice_sleep(watch->engine->pool))
		watch_look(watch);
	replan(watch);
	return G_SOURCE_CONTINUE;
}

/* ---- what the pool tells ----------------------------------------------------------------------- */

void watch_ready(struct watch *watch, const struct mailfs_server_info *info)
{
	watch->can_idle = info->can_idle;
	watch->can_notify = info->can_notify;
	watch_replan(watch);
}

void watch_failed(struct watch *watch, const char *folder, const GError *error)
{
	bool is_refused = g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE);
	int64_t rest_us = clock_monotonic_us() + (is_refused ? REFUSED_US : FAILED_US);

	log_info("engine", "cannot watch %s: %s", folder ? folder : "the account", error->message);
	if (is_refused)
		engine_add_reason(watch->engine, "%s cannot be watched: %s",
			folder ? folder : "the account", error->message);
	/* Not of this folder only. */
	if (folder && is_refused)
		watch->idle_rest_us = rest_us;
	if (folder)
		watch_interest(watch, folder)->rest_us = rest_us;
	else
		watch->notify_rest_us = rest_us;
	watch_replan(watch);
	watch_look(watch);
}

void watch_folder_changed(struct watch *watch, const char *name)
{
	struct folder *folder = tree_by_name(watch->engine->tree, name);
	struct interest *interest;

	if (!folder)
		return;
	interest = watch_interest(watch, name);
	interest->told_us = clock_monotonic_us();
	if (pool_is_idle_in(watch->engine->pool, name)) {
		interest->live_us = interest->told_us;
		interest->silences = 0;
	}
	if (watch_is_tracked(folder))
		watch_dirty(watch, folder);
}

void watch_folder_status(struct watch *watch, const struct mailfs_status *status)
{
	struct engine *engine = watch->engine;
	struct folder *folder = tree_by_name(engine->tree, status->folder);

	if (!folder)
		return;
	watch_interest(watch, folder->name)->told_us = clock_monotonic_us();
	syncer_take_status(engine, folder, status);
	if (!folder->box && (status->has & MAILFS_STATUS_MESSAGES) != 0)
		folder->messages = status->messages;
	if (!folder->box && (status->has & MAILFS_STATUS_UNSEEN) != 0)
		folder->unseen = status->unseen;
	if (watch_is_tracked(folder) && syncer_differs(folder, status))
		watch_dirty(watch, folder);
}

static void on_relisted(void *user, const GError *error)
{
	watch_replan(user);
}

static gboolean on_tree_timeout(gpointer user)
{
	struct watch *watch = user;

	watch->tree_timer = 0;
	listing_refresh(watch->engine->listing, on_relisted, watch);
	return G_SOURCE_REMOVE;
}

void watch_tree_changed(struct watch *watch)
{
	if (watch->is_running && watch->tree_timer == 0)
		watch->tree_timer = g_timeout_add(TREE_MS, on_tree_timeout, watch);
}

/* ---- for people -------------------------------------------------------------------------------- */

const char *watch_describe(struct watch *watch)
{
	const struct engine *engine = watch->engine;
	unsigned seconds = engine->config.poll_seconds;
	GHashTableIter iter;
	gpointer name;

	g_string_truncate(watch->text, 0);
	if (pool_state(engine->pool) != ENGINE_ONLINE)
		return NULL;
	if (pool_is_watched(engine->pool, NULL))
		return "notify";
	g_hash_table_iter_init(&iter, watch->plan);
	while (g_hash_table_iter_next(&iter, &name, NULL)) {
		const struct folder *folder = tree_by_name(engine->tree, name);

		if (folder && pool_is_watched(engine->pool, name))
			g_string_append_printf(watch->text, "%s %s", watch->text->len > 0 ? "," : "idle:",
				folder->path);
	}
	if (watch->text->len > 0)
		g_string_append(watch->text, "; ");
	if (seconds > 0)
		g_string_append_printf(watch->text, "poll every %u s", seconds);
	else
		g_string_append(watch->text, "no poll");
	return watch->text->str;
}

int64_t watch_last_look(const struct watch *watch)
{
	return watch->looked_at;
}

/* ---- life -------------------------------------------------------------------------------------- */

struct watch *watch_new(struct engine *engine)
{
	struct watch *watch = g_new0(struct watch, 1);

	watch->engine = engine;
	watch->interests = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, interest_free);
	watch->plan = g_hash_table_new(g_str_hash, g_str_equal);
	watch->names = g_ptr_array_new_with_free_func(g_free);
	watch->text = g_string_new(NULL);
	return watch;
}

void watch_start(struct watch *watch)
{
	watch->is_running = true;
	watch->check_us = clock_monotonic_us();
	watch->tick_timer = g_timeout_add_seconds(TICK_S, on_tick, watch);
	watch_look_start(watch);
}

void watch_stop(struct watch *watch)
{
	watch->is_running = false;
	g_clear_handle_id(&watch->plan_source, g_source_remove);
	g_clear_handle_id(&watch->tree_timer, g_source_remove);
	g_clear_handle_id(&watch->tick_timer, g_source_remove);
	watch_dirty_stop(watch);
	watch_look_stop(watch);
}

void watch_free(struct watch *watch)
{
	watch_stop(watch);
	g_hash_table_unref(watch->plan);
	g_hash_table_unref(watch->interests);
	g_ptr_array_unref(watch->names);
	g_string_free(watch->text, TRUE);
	g_free(watch);
}
