/* SPDX-License-Identifier: MIT */
/* The accounts of a mount: the one of the command line, or all of the configuration. Before the loop. */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "cli/cmdline.h"
#include "cli/served.h"
#include "fs/mounter.h"

/* struct served *, each with its account, or with its failure where there are several. NULL + error: the
 * one there is failed, or there is none. */
GPtrArray *accounts_load(const struct cmdline *line, const char *mountpoint, GError **error);
/* Passwords. As above: false where the only one, or each, fails. */
bool accounts_ask(GPtrArray *accounts, bool is_all, GError **error);
/* None can be served. *error is the first one's. */
bool accounts_have_failed(const GPtrArray *accounts, GError **error);

/* Each that there is, or what is known of it; struct account *, borrowed. For keeper and confinement. */
GPtrArray *accounts_known(GPtrArray *accounts, const struct cmdline *line);
/* What the mount itself is like: as all of them are. Strings are borrowed. */
struct mounter accounts_mounter(const GPtrArray *accounts, const struct cmdline *line,
	const char *mountpoint);
bool accounts_want_nonempty(const GPtrArray *accounts);

/* The place of an account by its name, so that inodes are the same in the next mount, whatever accounts
 * there are (as far as two do not meet). `taken`: a bit for each place; sets one. 0: no place left. */
unsigned accounts_place(uint32_t *taken, const char *name);

/* The one that is mounted; NULL: there are several, or it could not be made. */
const struct account *accounts_only(const GPtrArray *accounts);
/* Why there is no mount, with a next step. `accounts` may be NULL. */
void accounts_report(const GPtrArray *accounts, const GError *error);
