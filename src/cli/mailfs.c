/* SPDX-License-Identifier: MIT */
/*
 * The mount program: command line, checks, password, fork; then in the child connect, list, mount,
 * ready; then the loop until somebody ends it. What fails before the mount is told on stderr with a
 * next step, and by exit code.
 */
#include "cli/mailfs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/post.h"
#include "base/watchdog.h"
#include "cli/account.h"
#include "cli/cmdline.h"
#include "cli/confine.h"
#include "cli/daemon.h"
#include "cli/exit_code.h"
#include "cli/keeper.h"
#include "cli/mountpoint.h"
#include "cli/notify.h"
#include "cli/preflight.h"
#include "cli/served.h"
#include "cli/shutdown.h"
#include "cli/signals.h"
#include "net/network.h"

#define WORKERS 3u

struct mailfs {
	struct cmdline line;
	bool is_helper;
	struct account *account;
	char *mountpoint; /* canonical */
	struct daemon daemon;

	struct served served;
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

/* ---- events ------------------------------------------------------------------------------------ */

static void fail(struct mailfs *self, const GError *error)
{
	report(self, error);
	shutdown_begin(&self->shutdown);
}

static bool mount_now(struct mailfs *self, GError **error)
{
	int fd;

	if (!served_has_root(&self->served, error))
		return false;
	served_warn_offline(&self->served);
	fd = keeper_mount();
	if (fd >= 0)
		return fs_mount(self->served.fs, fd, error);
	g_set_error(error, CLI_ERROR, EX_UNAVAILABLE,
		"cannot mount on %s; is FUSE there (/dev/fuse, fusermount3), and may you write to the mount point?",
		self->mountpoint);
	return false;
}

static void on_started(void *user, struct served *served, const GError *error)
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
		fs_fill(served->fs);
	self->is_mounted = true;
	signals_set_mountpoint(self->mountpoint);
	if (!self->line.is_foreground)
		keeper_detach();
	daemon_ready(&self->daemon);
	notify_send("READY=1");
}

static void on_state_changed(void *user, struct served *served, enum engine_state state)
{
	g_autofree char *text = served_describe(served);

	notify_status(text);
}

static void on_ended(void *user)
{
	struct mailfs *self = user;

	log_info(self->account->name, "unmounted");
	if (!self->shutdown.is_running)
		shutdown_begin(&self->shutdown);
}

static void on_unmount(void *user)
{
	keeper_unmount();
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
	notify_reloading();
	keeper_reload();
	served_reload(&self->served);
	notify_send("READY=1");
}

static void on_network_changed(void *user)
{
	engine_network_changed(((struct mailfs *)user)->served.engine);
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
		engine_refresh(self->served.engine, NULL, NULL, NULL);
	else
		more_logging();
}

/* ---- putting it together ----------------------------------------------------------------------- */

static void run(struct mailfs *self)
{
	static const struct fs_events fs_events = { .ended = on_ended, .unmount = on_unmount };

	served_make(&self->served, self->mountpoint, &fs_events, &self->helper);
	self->loop = g_main_loop_new(NULL, FALSE);
	self->shutdown = (struct shutdown){
		.loop = self->loop,
		.engine = self->served.engine,
		.fs = self->served.fs,
		.was_started = true,
	};
	watchdog_start();
	signals_start(on_signal, self);
	self->network = network_watch_new(on_network_changed, self);
	engine_start(self->served.engine);
	/* A failure may have been told from inside the start. */
	if (!self->shutdown.is_over)
		g_main_loop_run(self->loop);
}

static void tear_down(struct mailfs *self)
{
	served_close(&self->served, self->shutdown.is_stopped);
	post_workers_stop();
	network_watch_free(self->network);
	signals_stop();
	g_main_loop_unref(self->loop);
}

static void serve(struct mailfs *self)
{
	static const struct served_events events = {
		.started = on_started,
		.state_changed = on_state_changed,
	};
	g_autoptr(GError) error = NULL;

	self->helper.fd = -1;
	/* A read-only mount lets nobody make or touch anything, not even by way of trial. */
	if (self->account->options.inotify && !self->account->options.is_read_only)
		helper_start(&self->helper);
	confine(&self->account, 1);
	post_workers_start(WORKERS);
	self->served = (struct served){ .account = self->account, .events = &events, .user = self };
	if (served_open(&self->served, &error)) {
		run(self);
		tear_down(self);
	} else {
		report(self, error);
		served_close(&self->served, true);
		post_workers_stop();
	}
	helper_end(&self->helper);
	keeper_end();
	daemon_failed(&self->daemon, self->code);
}

/* ---- before the fork --------------------------------------------------------------------------- */

static bool start_keeper(struct mailfs *self, GError **error)
{
	const struct options *options = &self->account->options;
	struct keeper_config config = {
		.mounter = {
			.mountpoint = self->mountpoint,
			.fsname = self->account->fsname,
			.is_read_only = options->is_read_only,
			.allow_other = options->allow_other,
			.default_permissions = options->default_permissions,
		},
		.accounts = &self->account,
		.account_count = 1,
	};

	if (keeper_start(&config))
		return true;
	g_set_error(error, CLI_ERROR, EX_OSERR, "cannot start a process: %s", g_strerror(errno));
	return false;
}

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
		preflight_debug_wire(self->account, error) && start_keeper(self, error) &&
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
