/* SPDX-License-Identifier: MIT */
/* The configuration file is only ever added to, and never left half written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/config.h"
#include "cli/exit_code.h"

/* A link stays a link: what it leads to is replaced. */
static char *real_path(const char *path)
{
	char *real = realpath(path, NULL);
	char *result = g_strdup(real ? real : path);

	free(real);
	return result;
}

static bool refuse(const char *path, int code, GError **error, const char *why)
{
	g_set_error(error, CLI_ERROR, code, "%s: %s", path, why);
	return false;
}

/* Whatever comes out must be what we read in again. */
static bool check_text(const char *path, const char *text, GError **error)
{
	struct config *config = config_parse(path, text, true, error);
	bool is_good = config != NULL;

	config_free(config);
	return is_good;
}

bool config_add_check(const char *path, const char *name, GError **error)
{
	struct config *config = config_load(path, false, error);
	bool is_free = config && !config_find(config, name);

	if (config && !is_free)
		g_set_error(error, CLI_ERROR, EX_CONFIG, "%s: there is an [account %s] already", path, name);
	config_free(config);
	return is_free;
}

static bool write_file(const char *path, const char *text, int mode, GError **error)
{
	g_autoptr(GError) wrong = NULL;

	if (g_file_set_contents_full(path, text, -1,
		    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, mode, &wrong)) {
		chmod(path, (mode_t)mode); /* the umask has taken bits away */
		return true;
	}
	return refuse(path, EX_CANTCREAT, error, wrong->message);
}

bool config_add(const char *path, const char *name, const char *section, bool is_secret, GError **error)
{
	g_autofree char *real = real_path(path);
	g_autofree char *dir = g_path_get_dirname(real);
	g_autofree char *old = NULL;
	char *text;
	bool is_good;
	struct stat st;
	bool is_new = stat(real, &st) < 0;

	if (!config_add_check(real, name, error))
		return false;
	if (g_mkdir_with_parents(dir, 0700) < 0)
		return refuse(dir, EX_CANTCREAT, error, g_strerror(errno));
	if (!is_new)
		g_file_get_contents(real, &old, NULL, NULL);
	text = g_strconcat(old ? old : "", !old || !*old ? "" : g_str_has_suffix(old, "\n") ? "\n" : "\n\n",
		section, NULL);
	is_good = check_text(real, text, error) &&
		write_file(real, text, is_new || is_secret ? 0600 : (int)(st.st_mode & 0777), error);
	explicit_bzero(text, strlen(text));
	g_free(text);
	if (old)
		explicit_bzero(old, strlen(old));
	return is_good;
}

/* ---- options as text --------------------------------------------------------------------------- */

static char *value_text(const struct option_info *info, const void *at)
{
	g_auto(GStrv) words = NULL;

	switch (info->kind) {
	case OPTION_FLAG:
	case OPTION_YES_NO:
		return g_strdup(*(const bool *)at ? "yes" : "no");
	case OPTION_NUMBER:
		return g_strdup_printf("%u", *(const uint32_t *)at);
	case OPTION_OCTAL:
		return g_strdup_printf("%03o", *(const uint32_t *)at);
	case OPTION_SIZE:
		return g_strdup_printf("%" G_GUINT64_FORMAT, *(const uint64_t *)at);
	case OPTION_CHOICE:
		words = g_strsplit(info->choices, "|", -1);
		return g_strdup(words[*(const uint32_t *)at]);
	case OPTION_KEEP:
		return *(const uint32_t *)at == OPTION_UNSET ? g_strdup("yes")
			: *(const uint32_t *)at == 0 ? g_strdup("no")
			: g_strdup_printf("%u", *(const uint32_t *)at);
	case OPTION_LIST:
		return g_strjoinv(";", *(char **const *)at);
	case OPTION_TEXT:
	case OPTION_FILE:
	case OPTION_FINGERPRINT:
		break;
	}
	return g_strdup(*(char *const *)at);
}

void config_print_options(GString *out, const struct options *options, const char *not_this)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_info *info = &option_table[i];
		g_autofree char *value = NULL;

		if ((options->given & ((uint64_t)1 << i)) == 0 || (info->places & OPTION_IN_CONFIG) == 0 ||
			strcmp(info->name, not_this) == 0)
			continue;
		value = value_text(info, (const char *)options + info->offset);
		g_string_append_printf(out, "%s = %s\n", info->name, value);
	}
}
