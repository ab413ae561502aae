/* SPDX-License-Identifier: MIT */
/* From an error to the code that the program exits with. Pure. */
#pragma once

#include <stdbool.h>
#include <sysexits.h>

#include <glib.h>

/* Errors of the command line, the configuration and the mount point: the code is one of sysexits.h
 * (EX_USAGE, EX_NOINPUT, EX_CONFIG …) and is the exit code. */
#define CLI_ERROR (cli_error_quark())
GQuark cli_error_quark(void);

/* NULL is 0. `is_helper`: by the rules of mount(8), 1 for usage and 32 for the rest. */
int exit_code(const GError *error, bool is_helper);

/* What the user can do about it, a sentence; NULL = nothing comes to mind. */
const char *exit_code_advice(const GError *error);
