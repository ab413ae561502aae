/* SPDX-License-Identifier: MIT */
/*
 * Where passwords and tokens come from: -o passfd, $CREDENTIALS_DIRECTORY, a command, the
 * configuration file, the keyring, the terminal; in this order. Loop thread.
 *
 * What can be read only once, or only with a terminal, is read by secret_prepare() and kept.
 * Commands run anew at each login; logins at the same time share one run.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "mailfs/backend.h"

#define SECRET_MAX 65536u /* bytes of a password or token, without the end of line */

/* Borrowed for the call that takes it. */
struct secret_config {
	const char *account;  /* names the credential: mailfs.ACCOUNT */
	const char *where;    /* "user@host", for the prompt */
	int passfd;           /* -1 = none */
	const char *command;  /* password-command or token-command; NULL = none */
	const char *password; /* of the configuration file; NULL = none */
	bool is_token;        /* `command` gives a token: passwords from elsewhere are not asked for */
	bool is_needed;       /* false: EXTERNAL, nothing is asked for */
	bool may_prompt;
};

struct secret;

struct secret *secret_new(const struct secret_config *config);
void secret_free(struct secret *secret); /* wipes; a run of the command is ended; NULL is fine */

/*
 * Before the fork: blocks, may talk on the terminal. False + error: MAILFS_ERROR_INVALID (none is
 * configured, unreadable, a NUL inside), MAILFS_ERROR_CANCELLED (Ctrl-C at the prompt).
 */
bool secret_prepare(struct secret *secret, GError **error);

/* The same later, from the loop: it never blocks, nor talks on a terminal. What `before` (NULL = none) was
 * told there, or by passfd, for the same user is taken over. The keyring answers whoever asks first. */
bool secret_prepare_again(struct secret *secret, const struct secret *before, GError **error);

/* What secret_prepare() has got; NULL = a command is asked at each login. Borrowed. */
const char *secret_peek(const struct secret *secret);

/* password-command or token-command; NULL = none. Borrowed. */
const char *secret_command(const struct secret *secret);

/* Wipes passwords, of the configuration file too. For a process that only needs the command. */
void secret_forget(struct secret *secret);

/* SIGHUP: takes over what `config` says now and reads the credential again; passwords of passfd and
 * of the terminal stay. */
void secret_reload(struct secret *secret, const struct secret_config *config);

/* Borrows `secret`. */
struct mailfs_secret_source secret_source(struct secret *secret);

/* ---- in files of their own ---- */

/* prompt.c: asks on the controlling terminal, without echo. `text` is g_malloc()ed: wipe it. */
bool secret_prompt(const char *question, char **ret_text, GError **error);

/* command.c: one run of a program; first line of its output. Not a shell: quotes and backslashes
 * are understood, nothing else. Where there is a keeper it runs what it knows of `account`. */
struct command;
/* `line` is borrowed and wiped afterwards; NULL + error. From the loop, once; frees the run. */
typedef void (*command_fn)(void *user, const char *line, const GError *error);
/* NULL: could not be started, *error (MAILFS_ERROR_INVALID) says why; `done` does not come. */
struct command *command_run(const char *account, const char *text, unsigned timeout_ms, command_fn done,
	void *user, GError **error);
/* The same of what the keyring has for the account. Wants a keeper: libsecret may stay away for long. */
struct command *command_ask_keyring(const char *account, unsigned timeout_ms, command_fn done, void *user,
	GError **error);
void command_cancel(struct command *command); /* ends and frees it; `done` does not come */
