/* SPDX-License-Identifier: MIT */
/* The command lines of mailfs, of mount(8) helpers and of mailfsctl check. */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "base/log.h"
#include "cli/options.h"

struct cmdline {
	struct options options;
	char *config_path; /* -F; NULL = the default */
	char *source, *mountpoint;
	enum log_level level;
	bool is_foreground;
	bool is_all;  /* every account of the configuration; no `source` */
	bool is_fake; /* mount -f: everything but the mount */
	bool want_help, want_version;
};

/* Takes argv apart; on failure *error is EX_USAGE. `mountpoint` is not looked for when
 * `is_check`. */
bool cmdline_parse(struct cmdline *line, int argc, char **argv, bool is_check, GError **error);
/* As mount(8) calls a helper: SOURCE DIR [-sfnv] [-t TYPE] [-o OPTIONS]. */
bool cmdline_parse_helper(struct cmdline *line, int argc, char **argv, GError **error);
void cmdline_done(struct cmdline *line);

char *cmdline_help(void); /* g_free() it */
