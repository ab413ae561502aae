/* SPDX-License-Identifier: MIT */
/*
 * mailfsctl: one table of verbs (ctl.c), one file per group of verbs (ctl_*.c), and what verbs share
 * (ctl_mount.c). A verb gets its own words, argv[0] is its name, and returns the exit code.
 *
 * To add one: a function, a row of ctl_verbs[], a paragraph of mailfsctl(1), a test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <glib.h>

typedef int (*ctl_verb_fn)(int argc, char **argv);

struct ctl_verb {
	const char *name;
	ctl_verb_fn fn;
	const char *arguments; /* as in --help; completions are checked against them */
	const char *help;
	const char *options; /* those that are too many for `arguments`; NULL = none */
};

extern const struct ctl_verb ctl_verbs[];
extern const size_t ctl_verb_count;

int ctl_add(int argc, char **argv);     /* ctl_add.c */
int ctl_status(int argc, char **argv);  /* ctl_status.c */
int ctl_cache(int argc, char **argv);   /* ctl_cache.c */
int ctl_check(int argc, char **argv);   /* ctl_check.c */
int ctl_list(int argc, char **argv);    /* ctl_list.c */
int ctl_refresh(int argc, char **argv); /* ctl_talk.c: verbs that write to .mailfs/ctl */
int ctl_line(int argc, char **argv);    /* ctl_talk.c: argv[0] is what is written */
int ctl_pending(int argc, char **argv); /* ctl_pending.c */
int ctl_prefetch(int argc, char **argv); /* ctl_prefetch.c */
int ctl_umount(int argc, char **argv);  /* ctl_umount.c */

/* ---- ctl.c ---- */

/* "mailfsctl: text" on stderr; returns `code`. */
int ctl_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int ctl_fail_error(const GError *error);
/* "usage: …" of the verb; returns EX_USAGE. */
int ctl_usage(const char *verb);

/* ---- ctl_mount.c: talking to a mount ---- */

/* The canonical path if a mailfs is there, or an account in a mount of several; else NULL and the
 * complaint was made. g_free() it. */
char *ctl_find_mount(const char *path);
/* Is it the mount itself, and not an account in it? */
bool ctl_is_mount(const char *mountpoint);

/*
 * Reads .mailfs/NAME in a child process, so that a mount that hangs cannot hold us. Several may be
 * begun before the first is ended.
 */
struct ctl_read *ctl_read_begin(const char *mountpoint, const char *name);
/* Waits until 5 s have passed since it was begun. NULL + error (EX_UNAVAILABLE, EX_TEMPFAIL when it
 * did not answer); else the text, g_free() it. Frees `read`. */
char *ctl_read_end(struct ctl_read *read, GError **error);
char *ctl_read_now(const char *mountpoint, const char *name, GError **error);

/* What follows a key of status.json, each of which has a line of its own; NULL: it is another line. */
const char *ctl_json_value(const char *line, const char *key);
/* The mount that has this cache, or the account in a mount of several; NULL: none that answers. g_free() it. */
char *ctl_find_cache(const char *dir);

/* 0 or -errno; one command, as .mailfs/ctl takes it. It ends when the command was carried out. */
int ctl_write(const char *mountpoint, const char *text);
/* Of the daemon; 0 = not known. */
pid_t ctl_find_pid(const char *mountpoint);
