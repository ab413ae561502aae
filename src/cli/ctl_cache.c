/* SPDX-License-Identifier: MIT */
/* mailfsctl cache: what an account keeps on this disk, and its removal; a daemon that has it is asked. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "cli/ctl.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/source.h"
#include "mailfs/error.h"
#include "store/survey.h"

struct total {
	struct json *json; /* NULL = for people */
	uint64_t bytes;
	uint32_t messages, cached;
};

static int fail(const GError *error)
{
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_IN_USE))
		return ctl_fail(EX_TEMPFAIL, "it is in use: unmount it first, or see 'mailfsctl status'");
	return ctl_fail_error(error);
}

static void print_row(void *user, const struct store_survey *row)
{
	struct total *total = user;
	g_autofree char *path = log_safe(row->path, -1);
	g_autofree char *size = g_format_size_full(row->bytes, G_FORMAT_SIZE_IEC_UNITS);

	total->bytes += row->bytes;
	total->messages += row->messages;
	total->cached += row->cached;
	if (!total->json) {
		printf("%12s %8u of %-8u %s\n", size, row->cached, row->messages, path);
		return;
	}
	json_begin(total->json, NULL, '{');
	json_text(total->json, "folder", row->path);
	json_number(total->json, "bytes", row->bytes);
	json_number(total->json, "messages", row->messages);
	json_number(total->json, "cached", row->cached);
	json_number(total->json, "pinned", row->pinned);
	json_end(total->json, '}');
}

/* ---- of a mounted account, as its daemon counts ---------------------------------------------------- */

/* What a JSON string holds, as the daemon writes them; NULL: it has no end. */
static char *unquote(const char *at)
{
	GString *text = g_string_new(NULL);

	for (at++; *at && *at != '"'; at++) {
		uint32_t code = 0;

		if (*at == '\\' && at[1] == 'u') {
			for (int i = 2; i < 6 && g_ascii_isxdigit(at[i]); i++)
				code = code * 16 + (uint32_t)g_ascii_xdigit_value(at[i]);
			g_string_append_unichar(text, code);
			at += MIN(strlen(at), 6) - 1;
			continue;
		}
		if (*at == '\\' && at[1] != '\0')
			at++;
		g_string_append_c(text, *at);
	}
	return g_string_free(text, *at != '"');
}

/* Behind the name, which may hold anything. */
static uint64_t number_in(const char *row, const char *key)
{
	const char *at = g_strstr_len(row, (gssize)strcspn(row, "\n"), key);
	uint64_t number = 0;

	if (at)
		parse_u64(at + strlen(key), strspn(at + strlen(key), "0123456789"), &number);
	return number;
}

static void read_row(const char *line, store_survey_fn fn, void *user)
{
	static const char begin[] = "    {\"folder\": ";
	g_autofree char *path = NULL;
	const char *rest;

	if (!g_str_has_prefix(line, begin))
		return;
	path = unquote(line + strlen(begin));
	/* A quote in a name has a backslash before it. */
	rest = strstr(line, "\", \"state\": ");
	if (path && rest)
		fn(user, &(struct store_survey){ .path = path,
				 .messages = (uint32_t)number_in(rest, "\"known\": "),
				 .cached = (uint32_t)number_in(rest, "\"cached\": "),
				 .pinned = (uint32_t)number_in(rest, "\"pinned\": "),
				 .bytes = number_in(rest, "\"bytes\": ") });
}

static bool survey_mounted(const char *mountpoint, store_survey_fn fn, void *user, GError **error)
{
	int r = ctl_write(mountpoint, "count\n");
	g_autofree char *status = NULL;

	if (r < 0) {
		g_set_error(error, CLI_ERROR, EX_TEMPFAIL, "%s: %s", mountpoint, g_strerror(-r));
		return false;
	}
	status = ctl_read_now(mountpoint, "status.json", error);
	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		read_row(line, fn, user);
	}
	return status != NULL;
}

static bool survey(const char *dir, store_survey_fn fn, void *user, GError **error)
{
	g_autofree char *mountpoint = NULL;

	if (store_survey(dir, fn, user, error))
		return true;
	if (error && g_error_matches(*error, MAILFS_ERROR, MAILFS_ERROR_IN_USE))
		mountpoint = ctl_find_cache(dir);
	if (!mountpoint)
		return false;
	g_clear_error(error);
	return survey_mounted(mountpoint, fn, user, error);
}

/* ---- printing ---------------------------------------------------------------------------------- */

static int print_usage(const char *dir, struct json *json)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *size = NULL;
	struct total total = { .json = json };

	if (!survey(dir, print_row, &total, &error))
		return fail(error);
	size = g_format_size_full(total.bytes, G_FORMAT_SIZE_IEC_UNITS);
	if (!json)
		printf("%12s %8u of %-8u in %s\n", size, total.cached, total.messages, dir);
	return 0;
}

static int print_json(const char *dir)
{
	struct json json;
	int code;

	json_init(&json);
	json_begin(&json, NULL, '{');
	json_text(&json, "directory", dir);
	json_begin(&json, "folders", '[');
	code = print_usage(dir, &json);
	json_end(&json, ']');
	json_end(&json, '}');
	if (code == 0)
		puts(json.out->str);
	json_done(&json);
	return code;
}

/* By the daemon that has it: what is known of the messages stays, their bytes go. */
static int clear_mounted(const char *mountpoint)
{
	int r = ctl_write(mountpoint, "clear\n");

	return r < 0 ? ctl_fail(EX_TEMPFAIL, "%s: %s", mountpoint, g_strerror(-r)) : 0;
}

static int clear(const char *dir)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *mountpoint = NULL;

	if (store_erase(dir, &error))
		return 0;
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_IN_USE))
		mountpoint = ctl_find_cache(dir);
	return mountpoint ? clear_mounted(mountpoint) : fail(error);
}

/* An account of the file, a URL, or USER@HOST as a URL's cache is called. */
static char *directory_of(const char *name)
{
	g_autofree char *component = NULL;

	if (source_is_account_name(name)) {
		component = g_strdup(name);
	} else if (source_is_url(name)) {
		struct source source;

		if (!source_parse(name, &source, NULL))
			return NULL;
		component = source.user ? source_directory(&source) : NULL;
		source_done(&source);
	}
	return component ? g_build_filename(g_get_user_cache_dir(), "mailfs", component, NULL) : NULL;
}

int ctl_cache(int argc, char **argv)
{
	g_autofree char *dir = NULL;
	const char *name = NULL;
	bool is_clear = false, is_json = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--clear") == 0)
			is_clear = true;
		else if (strcmp(argv[i], "--json") == 0)
			is_json = true;
		else if (argv[i][0] == '-' || name)
			return ctl_usage(argv[0]);
		else
			name = argv[i];
	}
	if (!name || (is_clear && is_json))
		return ctl_usage(argv[0]);
	dir = directory_of(name);
	if (!dir)
		return ctl_fail(EX_USAGE, "cache: neither the name of an account nor a URL with a user: %s", name);
	if (is_clear)
		return clear(dir);
	return is_json ? print_json(dir) : print_usage(dir, NULL);
}
