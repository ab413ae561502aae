/* SPDX-License-Identifier: MIT */
/*
 * mailfsctl check: one session of the backend, without engine, cache or mount. Tells what the server
 * is and can do, and what mailfs does where it cannot.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/account.h"
#include "cli/cmdline.h"
#include "cli/ctl.h"
#include "cli/exit_code.h"
#include "cli/mailfs.h"

#define FOLDERS_SHOWN 20u

struct check {
	struct account *account;
	struct mailfs_session *session;
	GMainLoop *loop;
	unsigned folders;
	uint64_t messages;
	bool has_status;
	GError *error;
};

/* ---- the report -------------------------------------------------------------------------------- */

static void print(const char *key, const char *value)
{
	g_autofree char *safe = log_safe(value, -1);

	printf("%-14s %s\n", key, safe);
}

/* What each capability is good for; without it, the second text. */
static const struct {
	const char *name;
	const char *without;
} wanted[] = {
	{ "QRESYNC", "a changed folder is compared with CONDSTORE or by listing all UIDs and flags" },
	{ "CONDSTORE", "changes of flags are found by fetching the flags of all messages" },
	{ "LIST-STATUS", "folders are asked one by one for what is new" },
	{ "SPECIAL-USE", "roles such as \\Trash are not known" },
	{ "ENABLE", "no QRESYNC, no UTF-8 names" },
	{ "ID", "the server is not asked what it is" },
	{ "COMPRESS=DEFLATE", "compress=yes has no effect" },
};

static bool has_capability(const char *capabilities, const char *name)
{
	g_auto(GStrv) words = g_strsplit(capabilities ? capabilities : "", " ", -1);

	for (char **word = words; *word; word++) {
		if (g_ascii_strcasecmp(*word, name) == 0)
			return true;
	}
	return false;
}

static void print_missing(const char *capabilities)
{
	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
		if (!has_capability(capabilities, wanted[i].name))
			printf("%-14s no %s: %s\n", "falls back:", wanted[i].name, wanted[i].without);
	}
}

static void print_info(const struct check *check, const struct mailfs_server_info *info)
{
	g_autofree char *tls = info->tls_version
		? g_strdup_printf("%s %s", info->tls_version, info->tls_cipher ? info->tls_cipher : "")
		: g_strdup("none: everything is sent in clear text");
	g_autofree char *address = g_strdup_printf("%s port %u", check->account->source.host,
		check->account->source.port);

	print("server:", address);
	print("tls:", tls);
	print("login:", info->auth ? info->auth : "?");
	print("software:", info->server_id ? info->server_id : "not told");
	print("capabilities:", info->capabilities ? info->capabilities : "");
	print("compression:", info->compressed ? "on" : "off");
	printf("%-14s %u requests at a time on a connection\n", "pipelining:", info->max_pipeline);
	print("ranges:", info->can_range ? "yes" : "no: large messages are fetched whole");
	print("delta sync:", info->can_delta ? "yes" : "no: each look at a folder lists it whole");
	if (info->append_limit > 0)
		printf("%-14s %" G_GUINT64_FORMAT " bytes a message\n", "append limit:", info->append_limit);
	print_missing(info->capabilities);
}

/* ---- the session ------------------------------------------------------------------------------- */

static void on_closed(void *user)
{
	struct check *check = user;

	g_main_loop_quit(check->loop);
}

static void on_folder(void *user, const struct mailfs_folder_info *info)
{
	struct check *check = user;
	g_autofree char *path = log_safe(info->path, -1);

	check->folders++;
	if ((info->flags & MAILFS_FOLDER_HAS_STATUS) != 0) {
		check->has_status = true;
		check->messages += info->messages;
	}
	if (check->folders > FOLDERS_SHOWN)
		return;
	if ((info->flags & MAILFS_FOLDER_HAS_STATUS) != 0)
		printf("%-14s %s (%u messages, %u unread)\n", "folder:", path, info->messages, info->unseen);
	else
		printf("%-14s %s\n", "folder:", path);
}

static void on_listed(void *user, const GError *error)
{
	struct check *check = user;

	if (error && !check->error)
		check->error = g_error_copy(error);
	if (!error && check->folders > FOLDERS_SHOWN)
		printf("%-14s and %u more\n", "", check->folders - FOLDERS_SHOWN);
	if (!error && check->has_status)
		printf("%-14s %u folders, %" G_GUINT64_FORMAT " messages\n", "in all:", check->folders,
			check->messages);
	else if (!error)
		printf("%-14s %u folders\n", "in all:", check->folders);
	imap_backend.close(check->session, on_closed, check);
}

static void on_ready(void *user, const struct mailfs_server_info *info)
{
	struct check *check = user;

	print_info(check, info);
	imap_backend.list(check->session,
		&(struct mailfs_list_request){ .folder = on_folder, .done = on_listed, .user = check });
}

static void on_folder_changed(void *user, const char *folder)
{
}

static void on_alert(void *user, const char *text)
{
	print("alert:", text);
}

static void on_dead(void *user, const GError *error)
{
	struct check *check = user;

	if (!check->error)
		check->error = g_error_copy(error);
	g_main_loop_quit(check->loop);
}

static void run(struct check *check)
{
	static const struct mailfs_session_events events = {
		.ready = on_ready,
		.folder_changed = on_folder_changed,
		.alert = on_alert,
		.dead = on_dead,
	};
	struct mailfs_backend_config config;

	account_backend_config(check->account, &config);
	check->loop = g_main_loop_new(NULL, FALSE);
	check->session = imap_backend.open(&config, &events, check);
	g_main_loop_run(check->loop);
	imap_backend.free(check->session);
	g_main_loop_unref(check->loop);
}

/* Log lines mask secrets, which a server might repeat in its complaint. */
static int tell(const GError *error)
{
	const char *advice = exit_code_advice(error);
	g_autofree char *text = log_safe(error->message, -1);

	fflush(stdout);
	log_error("check", "%s", text);
	if (advice)
		log_error("check", "%s", advice);
	return exit_code(error, false);
}

static int check_account(struct check *check, struct cmdline *line)
{
	check->account = account_new(line->source, line->config_path, &line->options, &check->error);
	if (check->account && secret_prepare(check->account->secret, &check->error))
		run(check);
	return check->error ? tell(check->error) : 0;
}

int ctl_check(int argc, char **argv)
{
	struct check check = { 0 };
	struct cmdline line;
	int code;

	if (!cmdline_parse(&line, argc, argv, true, &check.error)) {
		code = ctl_fail(EX_USAGE, "check: %s", check.error->message);
	} else if (line.want_help || line.want_version) {
		char *words[] = { argv[0], line.want_help ? "--help" : "--version", NULL };

		code = ctl_main(2, words);
	} else {
		log_set_level(line.level);
		code = check_account(&check, &line);
	}
	g_clear_error(&check.error);
	account_free(check.account);
	cmdline_done(&line);
	log_secrets_clear();
	return code;
}
