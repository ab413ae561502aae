/* SPDX-License-Identifier: MIT */
/* The verbs of mailfsctl: each gets its own words and returns the exit code. */
#pragma once

/* argv[0] is the verb. */
typedef int (*ctl_verb_fn)(int argc, char **argv);

int ctl_check(int argc, char **argv); /* ctl_check.c */

/* "mailfsctl: text" on stderr; returns `code`. */
int ctl_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
