/* SPDX-License-Identifier: MIT */
/* The loop: connect, list, mount, ready; events and signals; the end. */
#include "cli/serve.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/post.h"
#include "base/watchdog.h"
#include "cli/confine.h"
#include "cli/exit_code.h"
#include "cli/keeper.h"
#include "cli/mountpoint.h"
#include "cli/notify.h"
#include "cli/preflight.h"
#include "cli/shutdown.h"
#include "cli/signals.h"
#include "net/network.h"

#define WORKERS 3u

/* Several accounts are mounted when each has started or failed to, and not later than this. */
#define ALL_START_MS 5000u

/* The end of a mount takes no longer after the unmount, most likely. */
#define GOODBYE_MS      5000u
#define GOODBYE_STEP_MS 50u

struct serve {
	const struct serve_config *config;
	const struct cmdline *line; /* the config's, as is … */
	GPtrArray *accounts;        /* … this; struct served * */

	struct mount *mount;
	struct network_watch *network;
	GMainLoop *loop;
	struct shutdown shutdown;
	guint start_timer;
	unsigned waited_ms; /* for mounts that are ending */
	bool is_mounted;
	bool is_told_to_end; /* by a signal */
	int code;
};

/* Ends with this. */
static void report(struct serve *self, const GError *error)
{
	accounts_report(self->accounts, error);
	self->code = exit_code(error, self->config->is_helper);
}

/* ---- the start --------------------------------------------------------------------------------- */

static void each(struct serve *self, void (*fn)(struct serve *self, struct served *served))
{
	for (guint i = 0; i < self->accounts->len; i++)
		fn(self, g_ptr_array_index(self->accounts, i));
}

static void fail(struct serve *self, const GError *error)
{
	report(self, error);
	shutdown_begin(&self->shutdown);
}

/* -o prefetch=all. */
static void fill(struct serve *self, struct served *served)
{
	if (served->engine && served->has_started &&
		served->account->options.prefetch == PREFETCH_ALL)
		fs_fill(served->fs);
}

static bool begin_mount(struct serve *self, GError **error)
{
	int fd = keeper_mount();

	if (fd >= 0 && mount_start(self->mount, fd, error)) {
		keeper_taken();
		return true;
	}
	/* Nothing stays behind, not even what is mounted only now. */
	keeper_unmount();
	if (fd >= 0)
		return false;
	g_set_error(error, CLI_ERROR, EX_UNAVAILABLE,
		"cannot mount on %s; is FUSE there (/dev/fuse, fusermount3), and may you write to the mount point?",
		self->config->mounter->mountpoint);
	return false;
}

static void mount_now(struct serve *self)
{
	g_autoptr(GError) error = NULL;

	g_clear_handle_id(&self->start_timer, g_source_remove);
	if (!begin_mount(self, &error)) {
		fail(self, error);
		return;
	}
	each(self, fill);
	self->is_mounted = true;
	signals_set_mountpoint(self->config->mounter->mountpoint);
	if (!self->line->is_foreground)
		keeper_detach();
	daemon_ready(self->config->daemon);
	notify_send("READY=1");
}

static void on_only_started(struct serve *self, struct served *served, const GError *error)
{
	g_autoptr(GError) wrong = NULL;

	if (error) {
		fail(self, error);
	} else if (!served_has_root(served, &wrong)) {
		fail(self, wrong);
	} else {
		served_warn_offline(served);
		mount_now(self);
	}
}

static bool have_all_started(const struct serve *self)
{
	for (guint i = 0; i < self->accounts->len; i++) {
		if (!((struct served *)g_ptr_array_index(self->accounts, i))->has_started)
			return false;
	}
	return true;
}

/* One that has failed goes on trying by itself, where that is any use. */
static void on_one_started(struct serve *self, struct served *served, const GError *error)
{
	g_autoptr(GError) wrong = NULL;

	if (error)
		served_warn(served, error);
	else if (!served_has_root(served, &wrong))
		served_warn(served, wrong);
	else
		served_warn_offline(served);
	if (self->is_mounted)
		fill(self, served);
	else if (have_all_started(self))
		mount_now(self);
}

static void on_started(void *user, struct served *served, const GError *error)
{
	struct serve *self = user;

	if (self->shutdown.is_running)
		return;
	if (self->line->is_all)
		on_one_started(self, served, error);
	else
		on_only_started(self, served, error);
}

static gboolean on_start_timeout(gpointer user)
{
	struct serve *self = user;

	self->start_timer = 0;
	if (!self->shutdown.is_running)
		mount_now(self);
	return G_SOURCE_REMOVE;
}

/* ---- events ------------------------------------------------------------------------------------ */

static char *describe_all(const struct serve *self)
{
	unsigned online = 0;

	for (guint i = 0; i < self->accounts->len; i++) {
		const struct served *served = g_ptr_array_index(self->accounts, i);

		online += served->engine && engine_state(served->engine) == ENGINE_ONLINE;
	}
	return g_strdup_printf("%u of %u accounts online", online, self->accounts->len);
}

static void on_state_changed(void *user, struct served *served, enum engine_state state)
{
	struct serve *self = user;
	g_autofree char *text = self->line->is_all ? describe_all(self) : served_describe(served);

	notify_status(text);
}

static void on_ended(void *user)
{
	struct serve *self = user;
	const struct account *only = accounts_only(self->accounts);

	log_info(only ? only->name : "mailfs", "unmounted");
	signals_set_mountpoint(NULL); /* what is there from now on is another's */
	if (!self->shutdown.is_running)
		shutdown_begin(&self->shutdown);
}

static void on_unmount(void *user)
{
	const struct serve *self = user;
	const char *path = self->config->mounter->mountpoint;

	if (keeper_is_there())
		keeper_unmount();
	else if (!confine_may_run() || !mountpoint_unmount(path, true, NULL))
		log_warn("mailfs", "%s stays as a dead mount; 'fusermount3 -u' or the next mailfs there takes it away",
			path);
}

static void on_keeper_gone(void *user)
{
	struct serve *self = user;

	log_warn("mailfs", "mailfs-keeper was killed: %s; unmount, and mount again",
		confine_may_run() ? "what it has done is done without it"
				  : "no password can be asked for, and the end leaves a dead mount");
	confine_note_no_keeper();
	mount_set_confinement(self->mount, confine_describe());
}

/* ---- signals ----------------------------------------------------------------------------------- */

static void stop(struct serve *self)
{
	if (!self->is_mounted && self->code == 0) {
		g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED,
			"stopped before it had mounted");

		report(self, error);
	}
	notify_send("STOPPING=1");
	/* The service manager unmounts, and then ends who is still there: that is no hurry yet. */
	if (!self->shutdown.is_running || self->is_told_to_end)
		shutdown_begin(&self->shutdown);
	self->is_told_to_end = true;
}

static void reload_one(struct serve *self, struct served *served)
{
	served_reload(served, self->line->config_path, &self->line->options);
}

static void reload(struct serve *self)
{
	notify_reloading();
	keeper_reload();
	each(self, reload_one);
	notify_send("READY=1");
}

static void refresh_one(struct serve *self, struct served *served)
{
	served_refresh(served);
}

static void network_changed_one(struct serve *self, struct served *served)
{
	if (served->engine)
		engine_network_changed(served->engine);
}

static void on_network_changed(void *user)
{
	each(user, network_changed_one);
}

static void more_logging(void)
{
	enum log_level level = log_get_level();

	log_set_level(level < LOG_WIRE ? level + 1 : LOG_WARN);
}

static void on_signal(void *user, int number)
{
	struct serve *self = user;

	if (number == SIGTERM || number == SIGINT)
		stop(self);
	else if (self->shutdown.is_running)
		return;
	else if (number == SIGHUP && !self->is_mounted)
		stop(self); /* the terminal went away while a command was starting */
	else if (number == SIGHUP)
		reload(self);
	else if (number == SIGUSR1)
		each(self, refresh_one);
	else
		more_logging();
}

/* ---- putting it together ----------------------------------------------------------------------- */

static void show_one(struct serve *self, struct served *served)
{
	static const struct served_events events = {
		.started = on_started,
		.state_changed = on_state_changed,
	};

	served->events = &events;
	served->user = self;
	served_show(served, self->mount);
}

/* Who has just been unmounted may still be saying goodbye to the server: umount(8) does not wait for it. */
static bool open_patiently(struct serve *self, struct served *served, GError **error)
{
	while (!served_open(served, error)) {
		if (!g_error_matches(*error, MAILFS_ERROR, MAILFS_ERROR_IN_USE) ||
			preflight_is_shown(served->account) || self->waited_ms >= GOODBYE_MS)
			return false;
		if (self->waited_ms == 0)
			log_info("mailfs", "waiting for the mount before this one to end");
		g_clear_error(error);
		g_usleep(GOODBYE_STEP_MS * 1000);
		self->waited_ms += GOODBYE_STEP_MS;
	}
	return true;
}

static void open_one(struct serve *self, struct served *served)
{
	g_autoptr(GError) error = NULL;

	if (!served->failure && !open_patiently(self, served, &error) && self->line->is_all)
		served_warn(served, error);
}

static void start_one(struct serve *self, struct served *served)
{
	served_start(served);
}

static struct mount_config mount_config(const struct serve *self)
{
	const struct options *options = &self->line->options;

	return (struct mount_config){
		.mountpoint = self->config->mounter->mountpoint,
		.has_accounts = self->line->is_all,
		.is_read_only = self->config->mounter->is_read_only,
		.uid = options->uid == OPTION_UNSET ? getuid() : (uid_t)options->uid,
		.gid = options->gid == OPTION_UNSET ? getgid() : (gid_t)options->gid,
		.umask = options->umask == OPTION_UNSET ? 0 : (mode_t)options->umask,
		.timeout_ms = options->timeout * 1000,
		.confinement = confine_describe(),
		.is_debug = options->debug,
	};
}

/* False: there is nothing to be mounted. */
static bool open_all(struct serve *self)
{
	static const struct mount_events mount_events = { .ended = on_ended, .unmount = on_unmount };
	struct mount_config config = mount_config(self);
	g_autoptr(GError) error = NULL;

	self->mount = mount_new(&config, &mount_events, self);
	each(self, show_one);
	each(self, open_one);
	if (!accounts_have_failed(self->accounts, &error))
		return true;
	report(self, error);
	return false;
}

static void run(struct serve *self)
{
	self->loop = g_main_loop_new(NULL, FALSE);
	self->shutdown = (struct shutdown){
		.loop = self->loop,
		.mount = self->mount,
		.served = self->accounts,
	};
	watchdog_start();
	signals_start(on_signal, self);
	keeper_watch(on_keeper_gone, self);
	self->network = network_watch_new(on_network_changed, self);
	if (self->line->is_all)
		self->start_timer = g_timeout_add(ALL_START_MS, on_start_timeout, self);
	each(self, start_one);
	/* A failure may have been told from inside the start. */
	if (!self->shutdown.is_over)
		g_main_loop_run(self->loop);
}

static void tear_down(struct serve *self)
{
	g_clear_handle_id(&self->start_timer, g_source_remove);
	g_ptr_array_set_size(self->accounts, 0);
	mount_free(self->mount);
	post_workers_stop();
	if (!self->loop)
		return;
	network_watch_free(self->network);
	signals_stop();
	g_main_loop_unref(self->loop);
}

/* Before there are threads. */
static void start_helper(struct serve *self, struct served *served)
{
	const struct options *options = served->account ? &served->account->options : &self->line->options;

	/* A read-only mount lets nobody make or touch anything, not even by way of trial. */
	if (options->inotify && !options->is_read_only)
		helper_start(&served->helper);
}

int serve(const struct serve_config *config)
{
	struct serve self = {
		.config = config,
		.line = config->line,
		.accounts = config->accounts,
	};
	g_autoptr(GPtrArray) known = accounts_known(config->accounts, config->line);

	each(&self, start_helper);
	confine((struct account *const *)known->pdata, known->len);
	post_workers_start(WORKERS);
	if (open_all(&self))
		run(&self);
	tear_down(&self);
	keeper_end();
	return self.code;
}
