/* SPDX-License-Identifier: MIT */
/* An account, its engine and its fs put together. */
#include "cli/served.h"

#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/confine.h"
#include "cli/keeper.h"
#include "engine/changes.h"

/* After the last close of a new file: long enough for a rename into place. */
#define UPLOAD_DELAY_MS 2000u

/* ---- telling the user -------------------------------------------------------------------------- */

static const char *const state_names[] = {
	[ENGINE_CONNECTING] = "connecting", [ENGINE_ONLINE] = "online",
	[ENGINE_OFFLINE] = "offline",       [ENGINE_LOGIN_REFUSED] = "login refused",
	[ENGINE_STOPPED] = "stopped",
};

/* " why", or "". */
static const char *last_reason(const struct served *served)
{
	const GPtrArray *reasons = engine_reasons(served->engine);
	const char *last = reasons->len > 0 ? g_ptr_array_index(reasons, reasons->len - 1) : "";
	const char *text = strchr(last, ' '); /* behind the time */

	return text ? text : "";
}

/* The server is away, and the mount shows what is in the cache. */
void served_warn_offline(const struct served *served)
{
	enum engine_state state = engine_state(served->engine);
	const char *text = last_reason(served);

	if (state == ENGINE_CONNECTING)
		log_info(served->account->name, "not connected yet; showing what is in the cache");
	if (state == ENGINE_OFFLINE)
		log_warn(served->account->name, "the server is away%s%s; showing what is in the cache",
			*text ? ":" : "", text);
}

char *served_describe(const struct served *served)
{
	enum engine_state state = engine_state(served->engine);
	bool is_bad = state == ENGINE_OFFLINE || state == ENGINE_LOGIN_REFUSED;
	const char *reason = is_bad ? last_reason(served) : "";

	return g_strconcat(state_names[state], *reason ? ":" : "", reason, NULL);
}

bool served_has_root(const struct served *served, GError **error)
{
	const char *folder = served->account->source.folder;

	/* Before the first listing nobody knows. */
	if (tree_by_shown_path(engine_tree(served->engine), folder) ||
		(served->account->options.delay_connect && engine_state(served->engine) != ENGINE_ONLINE))
		return true;
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_GONE, "there is no folder '%s'", folder);
	return false;
}

/* ---- the engine tells -------------------------------------------------------------------------- */

static void on_started(void *user, const GError *error)
{
	struct served *served = user;

	served->events->started(served->user, served, error);
}

static void on_listing_changed(void *user, const struct folder *folder)
{
	fs_listing_changed(((struct served *)user)->fs, folder);
}

static void on_message_changed(void *user, const struct folder *folder, uint32_t uid)
{
	fs_message_changed(((struct served *)user)->fs, folder, uid);
}

static void on_message_resized(void *user, const struct folder *folder, uint32_t uid)
{
	fs_message_resized(((struct served *)user)->fs, folder, uid);
}

static void on_message_bytes_changed(void *user, const struct folder *folder, uint32_t uid)
{
	fs_message_bytes_changed(((struct served *)user)->fs, folder, uid);
}

static bool on_message_came(void *user, const struct folder *folder, uint32_t uid, unsigned nth,
	GBytes *bytes)
{
	return fs_message_came(((struct served *)user)->fs, folder, uid, nth, bytes);
}

static void on_message_gone(void *user, const struct folder *folder, uint32_t uid)
{
	fs_message_gone(((struct served *)user)->fs, folder, uid);
}

static void on_folder_gone(void *user, const struct folder *folder)
{
	fs_folder_gone(((struct served *)user)->fs, folder);
}

static bool on_is_in_use(void *user, const struct folder *folder)
{
	return fs_is_in_use(((struct served *)user)->fs, folder);
}

static void on_box_gone(void *user, const struct folder *folder, uint32_t box_id)
{
	fs_box_gone(((struct served *)user)->fs, folder, box_id);
}

static void on_news(void *user, const struct engine_news *news)
{
	fs_news(((struct served *)user)->fs, news);
}

static void on_state_changed(void *user, enum engine_state state)
{
	struct served *served = user;

	log_info(served->account->name, "%s", state_names[state]);
	fs_state_changed(served->fs, state);
	served->events->state_changed(served->user, served, state);
}

/* ---- putting it together ----------------------------------------------------------------------- */

bool served_open(struct served *served, GError **error)
{
	return storage_open(&served->storage, served->account, error);
}

/* For tests, which do not want to list a million messages first. 0 = as the engine has it. */
static size_t loaded_max(void)
{
	const char *text = g_getenv("MAILFS_LOADED_MAX");
	uint32_t bytes = 0;

	return text && parse_u32(text, strlen(text), &bytes) ? bytes : 0;
}

static struct engine *make_engine(struct served *served)
{
	static const struct engine_events events = {
		.started = on_started,
		.listing_changed = on_listing_changed,
		.message_changed = on_message_changed,
		.message_resized = on_message_resized,
		.message_bytes_changed = on_message_bytes_changed,
		.message_came = on_message_came,
		.message_gone = on_message_gone,
		.folder_gone = on_folder_gone,
		.box_gone = on_box_gone,
		.is_in_use = on_is_in_use,
		.state_changed = on_state_changed,
		.news = on_news,
	};
	struct account *account = served->account;
	struct engine_config config = {
		.backend = account->backend,
		.account = account->name,
		.identity = account->identity,
		.store = served->storage.store,
		.component = fs_component,
		.name = account->view->needs_head ? fs_message_name : NULL,
		.name_user = (void *)account->view,
		.connections = account->options.connections,
		.poll_seconds = account_poll(account),
		.auto_compress = account->options.compress == COMPRESS_AUTO,
		.no_prefetch = account->options.prefetch == PREFETCH_OFF,
		.delay_connect = account->options.delay_connect,
		.loaded_max = loaded_max(),
		.is_read_only = account->options.is_read_only,
		.journal = served->storage.journal,
		.delete_mode = (enum engine_delete)account->options.delete_mode,
		.keeps_vanished = account->options.vanished == VANISHED_KEEP,
		.clears_server = account->options.keep != OPTION_UNSET,
		.clears_after_days = account->options.keep,
		.is_flags_sync = account->options.flags == FLAGS_SYNC,
		.confirms_each = account->options.confirm == CONFIRM_EACH,
		.upload_delay_ms = fault_number("MAILFS_UPLOAD_DELAY_MS", UPLOAD_DELAY_MS),
	};

	account_backend_config(account, &config.server);
	return engine_new(&config, &events, served);
}

static struct fs *make_fs(struct served *served, const char *mountpoint,
	const struct fs_events *events, const struct helper *helper)
{
	const struct options *options = &served->account->options;
	struct fs_config config = {
		.mountpoint = mountpoint,
		.confinement = confine_describe(),
		.name_program = keeper_is_there() ? keeper_name : NULL,
		.root = served->account->source.folder,
		.view = served->account->view,
		.uid = options->uid == OPTION_UNSET ? getuid() : (uid_t)options->uid,
		.gid = options->gid == OPTION_UNSET ? getgid() : (gid_t)options->gid,
		.umask = options->umask == OPTION_UNSET ? 0 : (mode_t)options->umask,
		.is_read_only = options->is_read_only,
		.allow_other = options->allow_other,
		.default_permissions = options->default_permissions,
		.flag_bits = options->flag_bits,
		.ctime_is_mtime = options->ctime == CTIME_MTIME,
		.exact_size = options->exact_size,
		.marks_seen = options->seen == SEEN_READ,
		.helper = *helper,
		.is_debug = options->debug,
		.timeout_ms = options->timeout * 1000,
	};

	return fs_new(&config, events, served->user);
}

void served_make(struct served *served, const char *mountpoint, const struct fs_events *fs_events,
	const struct helper *helper)
{
	served->fs = make_fs(served, mountpoint, fs_events, helper);
	served->engine = make_engine(served);
	fs_set_engine(served->fs, served->engine);
}

void served_reload(struct served *served)
{
	g_autoptr(GError) error = NULL;

	if (!account_reload(served->account, &error))
		log_warn(served->account->name, "%s; nothing was changed", error->message);
	fs_drop_caches(served->fs);
	/* What was refused before is worth a try: somebody has looked at it. */
	if (engine_state(served->engine) == ENGINE_LOGIN_REFUSED)
		engine_go_online(served->engine);
	engine_refresh(served->engine, NULL, NULL, NULL);
}

/* Those above before those below. */
void served_close(struct served *served, bool is_stopped)
{
	if (is_stopped && served->engine)
		engine_free(served->engine);
	/* Both answer what is still due, and an engine that stays passes it on. */
	storage_close(&served->storage);
	if (served->fs)
		fs_free(served->fs);
}
