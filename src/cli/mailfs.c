/* SPDX-License-Identifier: MIT */
/*
 * The mount program: command line, checks, password, fork; then in the child connect, list, mount,
 * ready; then the loop until somebody ends it. What fails before the mount is told on stderr with a
 * next step, and by exit code.
 */
#include "cli/mailfs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/parse.h"
#include "base/post.h"
#include "base/watchdog.h"
#include "cli/account.h"
#include "cli/cmdline.h"
#include "cli/daemon.h"
#include "cli/exit_code.h"
#include "cli/mountpoint.h"
#include "cli/notify.h"
#include "cli/preflight.h"
#include "cli/shutdown.h"
#include "cli/signals.h"
#include "cli/storage.h"
#include "net/network.h"

#define WORKERS 3u

/* After the last close of a new file: long enough for a rename into place. */
#define UPLOAD_DELAY_MS 2000u

struct mailfs {
	struct cmdline line;
	bool is_helper;
	struct account *account;
	char *mountpoint; /* canonical */
	struct daemon daemon;

	struct storage storage;
	struct engine *engine;
	struct fs *fs;
	struct network_watch *network;
	struct helper helper;
	GMainLoop *loop;
	struct shutdown shutdown;
	bool is_mounted;
	int code;
};

/* ---- telling the user -------------------------------------------------------------------------- */

/* Through the log, which masks secrets: a server may repeat what it was sent. */
static void tell(const struct mailfs *self, const char *text)
{
	g_autofree char *safe = NULL;

	if (self->account) {
		log_error(self->account->name, "%s", text);
		return;
	}
	safe = log_safe(text, -1);
	fprintf(stderr, "mailfs: %s\n", safe);
}

static void report(struct mailfs *self, const GError *error)
{
	const char *advice = exit_code_advice(error);
	g_autofree char *text = log_safe(error->message, -1);

	tell(self, text);
	if (advice)
		tell(self, advice);
	if (self->account && error->domain == MAILFS_ERROR &&
		error->code != MAILFS_ERROR_IN_USE && error->code != MAILFS_ERROR_CANCELLED)
		log_error(self->account->name, "to find out more: mailfsctl check %s", self->account->given);
	self->code = exit_code(error, self->is_helper);
}

/* " why", or "". */
static const char *last_reason(struct mailfs *self)
{
	const GPtrArray *reasons = engine_reasons(self->engine);
	const char *last = reasons->len > 0 ? g_ptr_array_index(reasons, reasons->len - 1) : "";
	const char *text = strchr(last, ' '); /* behind the time */

	return text ? text : "";
}

/* The server is away, and the mount shows what is in the cache. */
static void warn_offline(struct mailfs *self)
{
	enum engine_state state = engine_state(self->engine);
	const char *text = last_reason(self);

	if (state == ENGINE_CONNECTING)
		log_info(self->account->name, "not connected yet; showing what is in the cache");
	if (state == ENGINE_OFFLINE)
		log_warn(self->account->name, "the server is away%s%s; showing what is in the cache",
			*text ? ":" : "", text);
}

/* ---- events ------------------------------------------------------------------------------------ */

static void fail(struct mailfs *self, const GError *error)
{
	report(self, error);
	shutdown_begin(&self->shutdown);
}

static bool find_root(struct mailfs *self, GError **error)
{
	const char *folder = self->account->source.folder;

	/* Before the first listing nobody knows. */
	if (tree_by_shown_path(engine_tree(self->engine), folder) ||
		(self->account->options.delay_connect && engine_state(self->engine) != ENGINE_ONLINE))
		return true;
	g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_GONE, "there is no folder '%s'", folder);
	return false;
}

static bool mount_now(struct mailfs *self, GError **error)
{
	g_autoptr(GError) wrong = NULL;

	if (!find_root(self, error))
		return false;
	warn_offline(self);
	if (fs_mount(self->fs, &wrong))
		return true;
	g_set_error(error, CLI_ERROR, EX_UNAVAILABLE,
		"%s; is FUSE there (/dev/fuse, fusermount3), and may you write to the mount point?",
		wrong->message);
	return false;
}

static void on_started(void *user, const GError *error)
{
	struct mailfs *self = user;
	g_autoptr(GError) wrong = NULL;

	if (self->shutdown.is_running)
		return;
	if (error) {
		fail(self, error);
		return;
	}
	if (!mount_now(self, &wrong)) {
		fail(self, wrong);
		return;
	}
	if (self->account->options.prefetch == PREFETCH_ALL)
		fs_fill(self->fs);
	self->is_mounted = true;
	signals_set_mountpoint(self->mountpoint);
	daemon_ready(&self->daemon);
	notify_send("READY=1");
}

static void on_listing_changed(void *user, const struct folder *folder)
{
	fs_listing_changed(((struct mailfs *)user)->fs, folder);
}

static void on_message_changed(void *user, const struct folder *folder, uint32_t uid)
{
	fs_message_changed(((struct mailfs *)user)->fs, folder, uid);
}

static void on_message_resized(void *user, const struct folder *folder, uint32_t uid)
{
	fs_message_resized(((struct mailfs *)user)->fs, folder, uid);
}

static void on_message_bytes_changed(void *user, const struct folder *folder, uint32_t uid)
{
	fs_message_bytes_changed(((struct mailfs *)user)->fs, folder, uid);
}

static bool on_message_came(void *user, const struct folder *folder, uint32_t uid, unsigned nth,
	GBytes *bytes)
{
	return fs_message_came(((struct mailfs *)user)->fs, folder, uid, nth, bytes);
}

static void on_message_gone(void *user, const struct folder *folder, uint32_t uid)
{
	fs_message_gone(((struct mailfs *)user)->fs, folder, uid);
}

static void on_folder_gone(void *user, const struct folder *folder)
{
	fs_folder_gone(((struct mailfs *)user)->fs, folder);
}

static bool on_is_in_use(void *user, const struct folder *folder)
{
	return fs_is_in_use(((struct mailfs *)user)->fs, folder);
}

static void on_box_gone(void *user, const struct folder *folder, uint32_t box_id)
{
	fs_box_gone(((struct mailfs *)user)->fs, folder, box_id);
}

static void on_news(void *user, const struct engine_news *news)
{
	fs_news(((struct mailfs *)user)->fs, news);
}

static void on_state_changed(void *user, enum engine_state state)
{
	static const char *const names[] = {
		[ENGINE_CONNECTING] = "connecting", [ENGINE_ONLINE] = "online",
		[ENGINE_OFFLINE] = "offline",       [ENGINE_LOGIN_REFUSED] = "login refused",
		[ENGINE_STOPPED] = "stopped",
	};
	struct mailfs *self = user;
	const char *reason = state == ENGINE_OFFLINE || state == ENGINE_LOGIN_REFUSED ? last_reason(self) : "";
	g_autofree char *text = g_strconcat(names[state], *reason ? ":" : "", reason, NULL);

	log_info(self->account->name, "%s", names[state]);
	notify_status(text);
	fs_state_changed(self->fs, state);
}

static void on_ended(void *user)
{
	struct mailfs *self = user;

	log_info(self->account->name, "unmounted");
	if (!self->shutdown.is_running)
		shutdown_begin(&self->shutdown);
}

/* ---- signals ----------------------------------------------------------------------------------- */

static void stop(struct mailfs *self)
{
	if (!self->is_mounted && self->code == 0) {
		g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED,
			"stopped before it had mounted");

		report(self, error);
	}
	notify_send("STOPPING=1");
	shutdown_begin(&self->shutdown);
}

static void reload(struct mailfs *self)
{
	g_autoptr(GError) error = NULL;

	notify_reloading();
	if (!account_reload(self->account, &error))
		log_warn(self->account->name, "%s; nothing was changed", error->message);
	fs_drop_caches(self->fs);
	/* What was refused before is worth a try: somebody has looked at it. */
	if (engine_state(self->engine) == ENGINE_LOGIN_REFUSED)
		engine_go_online(self->engine);
	engine_refresh(self->engine, NULL, NULL, NULL);
	notify_send("READY=1");
}

static void on_network_changed(void *user)
{
	engine_network_changed(((struct mailfs *)user)->engine);
}

static void more_logging(void)
{
	enum log_level level = log_get_level();

	log_set_level(level < LOG_WIRE ? level + 1 : LOG_WARN);
}

static void on_signal(void *user, int number)
{
	struct mailfs *self = user;

	if (number == SIGTERM || number == SIGINT)
		stop(self);
	else if (self->shutdown.is_running)
		return;
	else if (number == SIGHUP && !self->is_mounted)
		stop(self); /* the terminal went away while a command was starting */
	else if (number == SIGHUP)
		reload(self);
	else if (number == SIGUSR1)
		engine_refresh(self->engine, NULL, NULL, NULL);
	else
		more_logging();
}

/* ---- putting it together ----------------------------------------------------------------------- */

/* For tests, which do not want to list a million messages first. 0 = as the engine has it. */
static size_t loaded_max(void)
{
	const char *text = g_getenv("MAILFS_LOADED_MAX");
	uint32_t bytes = 0;

	return text && parse_u32(text, strlen(text), &bytes) ? bytes : 0;
}

static struct engine *make_engine(struct mailfs *self)
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
	struct account *account = self->account;
	struct engine_config config = {
		.backend = account->backend,
		.account = account->name,
		.identity = account->identity,
		.store = self->storage.store,
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
		.journal = self->storage.journal,
		.delete_mode = (enum engine_delete)account->options.delete_mode,
		.keeps_vanished = account->options.vanished == VANISHED_KEEP,
		.is_flags_sync = account->options.flags == FLAGS_SYNC,
		.confirms_each = account->options.confirm == CONFIRM_EACH,
		.upload_delay_ms = fault_number("MAILFS_UPLOAD_DELAY_MS", UPLOAD_DELAY_MS),
	};

	account_backend_config(account, &config.server);
	return engine_new(&config, &events, self);
}

static struct fs *make_fs(struct mailfs *self)
{
	static const struct fs_events events = { .ended = on_ended };
	const struct options *options = &self->account->options;
	struct fs_config config = {
		.mountpoint = self->mountpoint,
		.fsname = self->account->fsname,
		.root = self->account->source.folder,
		.view = self->account->view,
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
		.helper = self->helper,
		.is_debug = options->debug,
		.timeout_ms = options->timeout * 1000,
	};

	return fs_new(&config, &events, self);
}

static void run(struct mailfs *self)
{
	self->fs = make_fs(self);
	self->engine = make_engine(self);
	fs_set_engine(self->fs, self->engine);
	self->loop = g_main_loop_new(NULL, FALSE);
	self->shutdown = (struct shutdown){
		.loop = self->loop,
		.engine = self->engine,
		.fs = self->fs,
		.was_started = true,
	};
	watchdog_start();
	signals_start(on_signal, self);
	self->network = network_watch_new(on_network_changed, self);
	engine_start(self->engine);
	/* A failure may have been told from inside the start. */
	if (!self->shutdown.is_over)
		g_main_loop_run(self->loop);
}

/* Those above before those below. An engine that has not stopped may not be freed: it stays. */
static void tear_down(struct mailfs *self)
{
	if (self->shutdown.is_stopped)
		engine_free(self->engine);
	/* Both answer what is still due, and an engine that stays passes it on. */
	storage_close(&self->storage);
	fs_free(self->fs);
	post_workers_stop();
	network_watch_free(self->network);
	signals_stop();
	g_main_loop_unref(self->loop);
}

static void serve(struct mailfs *self)
{
	g_autoptr(GError) error = NULL;

	self->helper.fd = -1;
	/* A read-only mount lets nobody make or touch anything, not even by way of trial. */
	if (self->account->options.inotify && !self->account->options.is_read_only)
		helper_start(&self->helper);
	post_workers_start(WORKERS);
	if (storage_open(&self->storage, self->account, &error)) {
		run(self);
		tear_down(self);
	} else {
		report(self, error);
		storage_close(&self->storage);
		post_workers_stop();
	}
	helper_end(&self->helper);
	daemon_failed(&self->daemon, self->code);
}

/* ---- before the fork --------------------------------------------------------------------------- */

static bool prepare(struct mailfs *self, GError **error)
{
	self->account = account_new(self->line.source, self->line.config_path, &self->line.options, error);
	if (!self->account)
		return false;
	self->mountpoint = mountpoint_canonical(self->line.mountpoint);
	if (self->is_helper && preflight_is_mounted(self->account, self->mountpoint)) {
		self->line.is_fake = true;
		return true;
	}
	return preflight_allow_other(self->account, error) &&
		mountpoint_prepare(self->mountpoint, self->account->options.nonempty, error) &&
		preflight_own_files(self->account, self->mountpoint, error) &&
		preflight_debug_wire(self->account, error) &&
		secret_prepare(self->account->secret, error);
}

static void start(struct mailfs *self)
{
	g_autoptr(GError) error = NULL;

	if (!prepare(self, &error)) {
		report(self, error);
		return;
	}
	if (self->line.is_fake)
		return;
	daemon_start(&self->daemon, self->line.is_foreground, self->is_helper ? 32 : EX_TEMPFAIL);
	/* The daemon must not hold the directory that it was started in. */
	if (chdir("/") == 0)
		serve(self);
}

static int usage(struct mailfs *self, const GError *error, bool is_bare)
{
	if (is_bare)
		fputs("mailfs: SOURCE and MOUNTPOINT are missing\n", stderr);
	else
		fprintf(stderr, "mailfs: %s\n", error->message);
	fputs("mailfs: see 'mailfs --help' or mailfs(1)\n", stderr);
	return exit_code(error, self->is_helper);
}

int mailfs_main(int argc, char **argv, bool is_helper)
{
	struct mailfs self = { .is_helper = is_helper };
	g_autoptr(GError) error = NULL;
	bool is_good = is_helper ? cmdline_parse_helper(&self.line, argc, argv, &error)
				 : cmdline_parse(&self.line, argc, argv, false, &error);

	if (!is_good) {
		self.code = usage(&self, error, argc <= 1);
	} else if (self.line.want_help) {
		g_autofree char *help = cmdline_help();

		fputs(help, stdout);
	} else if (self.line.want_version) {
		puts("mailfs " MAILFS_VERSION);
	} else {
		log_set_level(self.line.level);
		start(&self);
	}
	account_free(self.account);
	g_free(self.mountpoint);
	cmdline_done(&self.line);
	log_secrets_clear();
	return self.code;
}
