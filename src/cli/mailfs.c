/* SPDX-License-Identifier: MIT */
/*
 * The mount program, as far as the fork: command line, configuration, checks, keeper, password. What
 * fails is told on stderr with a next step, and by exit code. The rest is serve.c.
 */
#include "cli/mailfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/accounts.h"
#include "cli/cmdline.h"
#include "cli/daemon.h"
#include "cli/exit_code.h"
#include "cli/keeper.h"
#include "cli/mountpoint.h"
#include "cli/preflight.h"
#include "cli/serve.h"

struct mailfs {
	struct cmdline line;
	bool is_helper;
	GPtrArray *accounts; /* struct served * */
	char *mountpoint;    /* canonical */
	struct mounter mounter;
	struct daemon daemon;
	int code;
};

/* ---- before the fork --------------------------------------------------------------------------- */

static bool start_keeper(struct mailfs *self, GError **error)
{
	g_autoptr(GPtrArray) known = accounts_known(self->accounts, &self->line);
	struct keeper_config config = {
		.accounts = (struct account *const *)known->pdata,
		.account_count = known->len,
	};

	config.mounter = self->mounter = accounts_mounter(self->accounts, &self->line, self->mountpoint);
	if (keeper_start(&config))
		return true;
	g_set_error(error, CLI_ERROR, EX_OSERR, "cannot start a process: %s", g_strerror(errno));
	return false;
}

static bool check_all(const struct mailfs *self, GError **error)
{
	for (guint i = 0; i < self->accounts->len; i++) {
		const struct served *served = g_ptr_array_index(self->accounts, i);

		if (served->account && (!preflight_allow_other(served->account, error) ||
			!preflight_own_files(served->account, self->mountpoint, error)))
			return false;
	}
	return preflight_debug_wire(self->line.options.debug_wire, error);
}

static bool prepare(struct mailfs *self, GError **error)
{
	self->mountpoint = mountpoint_canonical(self->line.mountpoint);
	self->accounts = accounts_load(&self->line, self->mountpoint, error);
	if (!self->accounts)
		return false;
	if (self->is_helper && preflight_is_mounted(accounts_only(self->accounts), self->mountpoint)) {
		self->line.is_fake = true;
		return true;
	}
	return mountpoint_prepare(self->mountpoint, accounts_want_nonempty(self->accounts), error) &&
		check_all(self, error) && start_keeper(self, error) &&
		accounts_ask(self->accounts, self->line.is_all, error);
}

static void start(struct mailfs *self)
{
	const struct serve_config config = {
		.line = &self->line,
		.is_helper = self->is_helper,
		.mounter = &self->mounter,
		.daemon = &self->daemon,
		.accounts = self->accounts,
	};

	daemon_start(&self->daemon, self->line.is_foreground, self->is_helper ? 32 : EX_TEMPFAIL);
	/* The daemon must not hold the directory that it was started in. */
	if (chdir("/") == 0)
		self->code = serve(&config);
	daemon_failed(&self->daemon, self->code);
}

static void prepare_and_start(struct mailfs *self)
{
	g_autoptr(GError) error = NULL;

	if (!prepare(self, &error)) {
		accounts_report(self->accounts, error);
		self->code = exit_code(error, self->is_helper);
	} else if (!self->line.is_fake) {
		start(self);
	}
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
		prepare_and_start(&self);
	}
	if (self.accounts)
		g_ptr_array_unref(self.accounts);
	g_free(self.mountpoint);
	cmdline_done(&self.line);
	log_secrets_clear();
	return self.code;
}
