/* SPDX-License-Identifier: MIT */
/*
 * mailfs.conf: "[account NAME]" and "key = value" lines. Every mistake is told with file and line.
 * Read before the mount and again on SIGHUP; blocks on the disk.
 *
 * Not GKeyFile: it merges repeated keys and groups in silence and forgets the line numbers.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "cli/options.h"

struct config_entry {
	const struct option_info *info;
	char *value;
	unsigned line;
};

struct config_account {
	char *name;
	GPtrArray *entries; /* struct config_entry * */
	unsigned line;
	char *mistake; /* the first, with its place: config_load_sections() */
};

struct config {
	char *path;
	GPtrArray *accounts; /* struct config_account *, in the order of the file */
};

/* $XDG_CONFIG_HOME/mailfs/mailfs.conf; g_free() it. */
char *config_default_path(void);

/* NULL + error (EX_CONFIG). A missing file is an error only if `must_exist`; else it is empty. */
struct config *config_load(const char *path, bool must_exist, GError **error);
/* Mistakes below [account NAME] are that account's: config_apply() tells of them, and the others are
 * none the worse. */
struct config *config_load_sections(const char *path, bool must_exist, GError **error);
/* As config_load() from memory. `is_private`: a password in it is honoured. */
struct config *config_parse(const char *path, const char *text, bool is_private, GError **error);
void config_free(struct config *config); /* wipes; NULL is fine */

const struct config_account *config_find(const struct config *config, const char *name);
/* The value of a key as written; NULL = it is not there. */
const char *config_get(const struct config_account *account, const char *key);
/* Puts the account's values in `options`, under those of the command line. */
bool config_apply(const struct config *config, const struct config_account *account,
	struct options *options, GError **error);

/*
 * Adds a section to the file (made if it is missing, mode 0600; its directory 0700), after what is
 * there, which stays byte by byte. `is_secret`: the mode becomes 0600 in any case. EX_CONFIG: the file
 * has mistakes, or an account of that name; EX_CANTCREAT.
 */
bool config_add(const char *path, const char *name, const char *section, bool is_secret, GError **error);
/* Would it find a place? */
bool config_add_check(const char *path, const char *name, GError **error);
/* "key = value" lines of all options that were given in -o and have a place in the file, but `not_this`. */
void config_print_options(GString *out, const struct options *options, const char *not_this);
