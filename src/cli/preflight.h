/* SPDX-License-Identifier: MIT */
/* What is looked at before anything is done: mistakes that are cheap to find now. Blocks; no thread
 * is there yet. */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "cli/account.h"

/* Is this very account mounted there already, and alive? Then a mount helper has nothing to do. */
bool preflight_is_mounted(const struct account *account, const char *mountpoint);
/* Is it mounted anywhere, as far as can be seen? Not with others: that names none of them. */
bool preflight_is_shown(const struct account *account);
/* SEC-50: root's mounts open nobody's mail to others by accident. EX_USAGE. */
bool preflight_allow_other(const struct account *account, GError **error);
/* SEC-55: a mount over its own cache waits for itself. EX_CONFIG. */
bool preflight_own_files(const struct account *account, const char *mountpoint, GError **error);
/* -o debug-wire (NULL = not given): opens the file and lets the log write to it. EX_CANTCREAT. */
bool preflight_debug_wire(const char *path, GError **error);
