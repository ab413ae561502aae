/* SPDX-License-Identifier: MIT */
/* An account, its engine and its fs put together; its failures. */
#include "cli/served.h"

#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/confine.h"
#include "cli/exit_code.h"
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

void served_warn(const struct served *served, const GError *error)
{
	const char *advice = exit_code_advice(error);

	log_warn(served->given, "%s", error->message);
	if (advice)
		log_warn(served->given, "%s", advice);
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

	served->has_started = true;
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

static void on_folder_going(void *user, const struct folder *folder)
{
	fs_folder_going(((struct served *)user)->fs, folder);
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

/* ---- its disk and its engine ------------------------------------------------------------------- */

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
		.folder_going = on_folder_going,
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

static struct fs_config fs_config(const struct served *served)
{
	const struct account *account = served->account;
	const struct account *known = account ? account : served->stub;
	const struct options *options = known ? &known->options : NULL;
	struct fs_config config = {
		.name = served->place != 0 ? served->given : NULL,
		.place = served->place,
		.path = served->path,
		.confinement = confine_describe(),
		.name_program = keeper_is_there() ? keeper_name : NULL,
		.root = "",
		.helper = served->helper,
	};

	config.uid = !options || options->uid == OPTION_UNSET ? getuid() : (uid_t)options->uid;
	config.gid = !options || options->gid == OPTION_UNSET ? getgid() : (gid_t)options->gid;
	config.umask = !options || options->umask == OPTION_UNSET ? 0 : (mode_t)options->umask;
	if (!account)
		return config;
	config.root = account->source.folder;
	config.view = account->view;
	config.is_read_only = options->is_read_only;
	config.flag_bits = options->flag_bits;
	config.ctime_is_mtime = options->ctime == CTIME_MTIME;
	config.exact_size = options->exact_size;
	config.marks_seen = options->seen == SEEN_READ;
	config.timeout_ms = options->timeout * 1000;
	return config;
}

static bool fail(struct served *served, GError *failure, GError **error)
{
	g_clear_error(&served->failure);
	served->failure = failure;
	served->has_started = true;
	if (served->fs)
		fs_set_failure(served->fs, failure);
	g_propagate_error(error, g_error_copy(failure));
	return false;
}

bool served_open(struct served *served, GError **error)
{
	GError *wrong = NULL;
	struct fs_config config;

	if (!storage_open(&served->storage, served->account, &wrong)) {
		storage_close(&served->storage);
		return fail(served, wrong, error);
	}
	config = fs_config(served);
	fs_configure(served->fs, &config);
	served->engine = make_engine(served);
	served->has_started = false;
	g_clear_error(&served->failure);
	fs_set_engine(served->fs, served->engine);
	return true;
}

void served_start(struct served *served)
{
	if (served->engine)
		engine_start(served->engine);
}

/* ---- life -------------------------------------------------------------------------------------- */

struct served *served_new(const char *given, const char *mountpoint, unsigned place)
{
	struct served *served = g_new0(struct served, 1);

	served->given = g_strdup(given);
	served->place = place;
	served->path = place != 0 ? g_build_filename(mountpoint, given, NULL) : g_strdup(mountpoint);
	served->helper.fd = -1;
	return served;
}

bool served_load(struct served *served, const char *config_path, const struct options *options,
	GError **error)
{
	GError *wrong = NULL;
	struct options own;

	options_copy(&own, options);
	account_free(served->account);
	served->account = account_new(served->given, config_path, &own, &wrong);
	options_done(&own);
	return served->account ? true : fail(served, wrong, error);
}

const struct account *served_known(struct served *served, const char *config_path,
	const struct options *options)
{
	struct options own;

	if (served->account)
		return served->account;
	options_copy(&own, options);
	if (!served->stub)
		served->stub = account_stub(served->given, config_path, &own);
	options_done(&own);
	return served->stub;
}

bool served_ask(struct served *served, GError **error)
{
	GError *wrong = NULL;

	return secret_prepare(served->account->secret, &wrong) ? true : fail(served, wrong, error);
}

void served_show(struct served *served, struct mount *mount)
{
	struct fs_config config = fs_config(served);

	served->fs = fs_new(mount, &config);
	if (served->failure)
		fs_set_failure(served->fs, served->failure);
}

static bool ask_again(struct served *served, const struct account *before, GError **error)
{
	GError *wrong = NULL;

	return secret_prepare_again(served->account->secret, before ? before->secret : NULL, &wrong)
		? true
		: fail(served, wrong, error);
}

/* The account anew. One that is wrong leaves the old one in its place, with what was typed for it. */
static bool load_again(struct served *served, const char *config_path, const struct options *options,
	GError **error)
{
	struct account *before = g_steal_pointer(&served->account);
	struct fs_config config;
	bool is_good;

	if (!served_load(served, config_path, options, error)) {
		served->account = before;
		return false;
	}
	is_good = ask_again(served, before, error);
	config = fs_config(served);
	fs_configure(served->fs, &config); /* nothing of the old one */
	account_free(before);
	return is_good;
}

static void try_again(struct served *served, const char *config_path, const struct options *options)
{
	g_autoptr(GError) error = NULL;

	if (!load_again(served, config_path, options, &error) || !served_open(served, &error))
		served_warn(served, error);
	else
		served_start(served);
}

void served_reload(struct served *served, const char *config_path, const struct options *options)
{
	g_autoptr(GError) error = NULL;

	if (!served->engine) {
		try_again(served, config_path, options);
		return;
	}
	if (!account_reload(served->account, &error))
		log_warn(served->account->name, "%s; nothing was changed", error->message);
	fs_drop_caches(served->fs);
	/* What was refused before is worth a try: somebody has looked at it. */
	if (engine_state(served->engine) == ENGINE_LOGIN_REFUSED)
		engine_go_online(served->engine);
	engine_refresh(served->engine, NULL, NULL, NULL);
}

void served_refresh(struct served *served)
{
	if (served->engine)
		engine_refresh(served->engine, NULL, NULL, NULL);
}

struct stopping {
	struct served *served;
	void (*stopped)(void *user);
	void *user;
};

static void on_stopped(void *user)
{
	struct stopping *stopping = user;

	stopping->served->is_stopped = true;
	stopping->stopped(stopping->user);
	g_free(stopping);
}

void served_stop(struct served *served, void (*stopped)(void *user), void *user)
{
	struct stopping *stopping = g_new(struct stopping, 1);

	*stopping = (struct stopping){ served, stopped, user };
	if (served->engine)
		engine_stop(served->engine, on_stopped, stopping);
	else
		on_stopped(stopping);
}

/* Those above before those below. An engine that has not stopped may not be freed: it stays. */
void served_free(struct served *served)
{
	if (served->engine && served->is_stopped)
		engine_free(served->engine);
	/* Both answer what is still due, and an engine that stays passes it on. */
	storage_close(&served->storage);
	fs_free(served->fs);
	helper_end(&served->helper);
	/* An engine that stays has borrowed it. */
	if (!served->engine || served->is_stopped)
		account_free(served->account);
	account_free(served->stub);
	g_clear_error(&served->failure);
	g_free(served->given);
	g_free(served->path);
	g_free(served);
}
