/* SPDX-License-Identifier: MIT */
/*
 * mailfsctl check: tells what the server is and can do, and what mailfs does where it cannot; for
 * people, or as one JSON object.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/cmdline.h"
#include "cli/ctl.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/mailfs.h"
#include "cli/probe.h"

#define FOLDERS_SHOWN 20u

/* ---- for people -------------------------------------------------------------------------------- */

static void print(const char *key, const char *value)
{
	g_autofree char *safe = log_safe(value, -1);

	printf("%-14s %s\n", key, safe);
}

static void print_missing(void *user, const char *capability, const char *effect)
{
	printf("%-14s no %s: %s\n", "falls back:", capability, effect);
}

static void print_folders(const struct probe *probe)
{
	for (guint i = 0; i < MIN(probe->folders->len, FOLDERS_SHOWN); i++) {
		const struct probe_folder *folder = g_ptr_array_index(probe->folders, i);

		if (folder->has_status)
			printf("%-14s %s (%u messages, %u unread)\n", "folder:", folder->path,
				folder->messages, folder->unseen);
		else
			printf("%-14s %s\n", "folder:", folder->path);
	}
	if (probe->folder_count > FOLDERS_SHOWN)
		printf("%-14s and %u more\n", "", probe->folder_count - FOLDERS_SHOWN);
	if (probe->has_status)
		printf("%-14s %u folders, %" G_GUINT64_FORMAT " messages\n", "in all:",
			probe->folder_count, probe->message_count);
	else
		printf("%-14s %u folders\n", "in all:", probe->folder_count);
}

static void print_report(const struct probe *probe, const struct account *account)
{
	g_autofree char *tls = probe->tls_version
		? g_strdup_printf("%s %s", probe->tls_version, probe->tls_cipher ? probe->tls_cipher : "")
		: g_strdup("none: everything is sent in clear text");
	g_autofree char *address = g_strdup_printf("%s port %u", account->source.host,
		account->source.port);

	print("server:", address);
	print("tls:", tls);
	print("login:", probe->auth ? probe->auth : "?");
	print("software:", probe->server_id ? probe->server_id : "not told");
	if (probe->keeps)
		print("keeps mail:", probe->keeps);
	print("capabilities:", probe->capabilities ? probe->capabilities : "");
	for (guint i = 0; i < probe->alerts->len; i++)
		print("alert:", g_ptr_array_index(probe->alerts, i));
	printf("%-14s %.1f ms (login took %.0f ms)\n", "round trip:",
		(double)probe->round_trip_us / 1000, (double)probe->login_us / 1000);
	print("compression:", probe->is_compressed ? "on" : "off");
	printf("%-14s %u requests at a time on a connection\n", "pipelining:", probe->max_pipeline);
	print("ranges:", probe->can_range ? "yes" : "no: large messages are fetched whole");
	print("delta sync:", probe->can_delta ? "yes" : "no: each look at a folder lists it whole");
	if (probe->append_limit > 0)
		printf("%-14s %" G_GUINT64_FORMAT " bytes a message\n", "append limit:",
			probe->append_limit);
	probe_missing(probe, print_missing, NULL);
	print_folders(probe);
}

/* ---- for programs ------------------------------------------------------------------------------ */

static void json_missing(void *user, const char *capability, const char *effect)
{
	json_begin(user, NULL, '{');
	json_text(user, "capability", capability);
	json_text(user, "effect", effect);
	json_end(user, '}');
}

static void json_folders(struct json *json, const struct probe *probe)
{
	json_begin(json, "folders", '[');
	for (guint i = 0; i < probe->folders->len; i++) {
		const struct probe_folder *folder = g_ptr_array_index(probe->folders, i);

		json_begin(json, NULL, '{');
		json_text(json, "path", folder->path);
		if (folder->has_status) {
			json_number(json, "messages", folder->messages);
			json_number(json, "unread", folder->unseen);
		}
		json_end(json, '}');
	}
	json_end(json, ']');
	json_number(json, "folder_count", probe->folder_count);
	if (probe->has_status)
		json_number(json, "message_count", probe->message_count);
}

static void json_words(struct json *json, const char *key, const char *words)
{
	g_auto(GStrv) list = g_strsplit(words ? words : "", " ", -1);

	json_begin(json, key, '[');
	for (char **word = list; *word; word++) {
		if (**word)
			json_text(json, NULL, *word);
	}
	json_end(json, ']');
}

static void json_report(struct json *json, const struct probe *probe, const struct account *account)
{
	json_text(json, "server", account->source.host);
	json_number(json, "port", account->source.port);
	json_text(json, "tls", probe->tls_version);
	json_text(json, "cipher", probe->tls_cipher);
	json_text(json, "login", probe->auth);
	json_text(json, "software", probe->server_id);
	json_text(json, "keeps", probe->keeps);
	json_words(json, "capabilities", probe->capabilities);
	json_begin(json, "alerts", '[');
	for (guint i = 0; i < probe->alerts->len; i++)
		json_text(json, NULL, g_ptr_array_index(probe->alerts, i));
	json_end(json, ']');
	json_number(json, "round_trip_us", (uint64_t)probe->round_trip_us);
	json_number(json, "login_us", (uint64_t)probe->login_us);
	json_bool(json, "compression", probe->is_compressed);
	json_number(json, "pipelining", probe->max_pipeline);
	json_bool(json, "ranges", probe->can_range);
	json_bool(json, "delta_sync", probe->can_delta);
	if (probe->append_limit > 0)
		json_number(json, "append_limit", probe->append_limit);
	json_begin(json, "falls_back", '[');
	probe_missing(probe, json_missing, json);
	json_end(json, ']');
	json_folders(json, probe);
}

static void print_json(const struct probe *probe, const struct account *account, const GError *error)
{
	struct json json;

	json_init(&json);
	json_begin(&json, NULL, '{');
	if (error) {
		g_autofree char *text = log_safe(error->message, -1);

		json_text(&json, "error", text);
		json_number(&json, "exit_code", (uint64_t)exit_code(error, false));
	} else {
		json_report(&json, probe, account);
	}
	json_end(&json, '}');
	puts(json.out->str);
	json_done(&json);
}

/* ---- the verb ---------------------------------------------------------------------------------- */

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

static int check_account(struct cmdline *line, bool is_json)
{
	g_autoptr(GError) error = NULL;
	struct probe probe = { 0 };
	struct account *account = account_new(line->source, line->config_path, &line->options, &error);

	if (account && secret_prepare(account->secret, &error))
		probe_run(&probe, account, &error);
	if (is_json)
		print_json(&probe, account, error);
	else if (!error)
		print_report(&probe, account);
	probe_done(&probe);
	account_free(account);
	return error ? tell(error) : 0;
}

/* Takes the word out of argv. */
static bool take_word(int *argc, char **argv, const char *word)
{
	int kept = 0;
	bool found = false;

	for (int i = 0; i < *argc; i++) {
		if (i > 0 && strcmp(argv[i], word) == 0)
			found = true;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	*argc = kept;
	return found;
}

int ctl_check(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	bool is_json = take_word(&argc, argv, "--json");
	struct cmdline line;
	int code;

	if (!cmdline_parse(&line, argc, argv, true, &error)) {
		code = ctl_fail(EX_USAGE, "check: %s", error->message);
	} else if (line.want_help || line.want_version) {
		char *words[] = { argv[0], line.want_help ? (char *)"--help" : (char *)"--version", NULL };

		code = ctl_main(2, words);
	} else {
		log_set_level(line.level);
		code = check_account(&line, is_json);
	}
	cmdline_done(&line);
	log_secrets_clear();
	return code;
}
