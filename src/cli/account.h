/* SPDX-License-Identifier: MIT */
/*
 * One account, ready to be connected to: the options of command line and configuration file put
 * together and checked. For `mailfs` and for `mailfsctl check`. Loop thread.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "cli/config.h"
#include "cli/options.h"
#include "cli/secret.h"
#include "cli/source.h"
#include "mailfs/backend.h"
#include "mailfs/view.h"

struct account {
	struct options options;
	struct source source;
	const struct mailfs_backend *backend;
	char *given;       /* SOURCE as written */
	char *config_path; /* NULL = SOURCE is a URL: no file is read */

	char *name;      /* for people: the account's name, else user@host */
	char *directory; /* of its cache, one path component */
	char *identity;
	char *fsname;
	char *where; /* user@host */
	struct secret *secret;
	const struct mailfs_view *view;
	struct mailfs_view *own_view; /* of a template */
};

/*
 * `options` is what the command line said and is taken over (also on failure). `config_path` NULL:
 * the default file. Errors: EX_USAGE, EX_CONFIG.
 */
struct account *account_new(const char *source, const char *config_path, struct options *options,
	GError **error);
/* An account whose section is wrong, as far as it is known: its name and places. `options` as above. Serves
 * nobody, but account_reload() may find its commands. */
struct account *account_stub(const char *name, const char *config_path, struct options *options);
void account_free(struct account *account); /* NULL is fine */

/* SIGHUP: the password settings anew. What else has changed in the file counts at the next mount. */
bool account_reload(struct account *account, GError **error);

/* Wipes its passwords. For a process that never logs in. */
void account_forget_secret(struct account *account);

/* Seconds between two looks for new mail; 0 = only on request. */
unsigned account_poll(const struct account *account);

/* Strings are borrowed from the account. */
void account_backend_config(struct account *account, struct mailfs_backend_config *ret_config);
