/* SPDX-License-Identifier: MIT */
/* Where the mail is: URLs, account names, and the names made of them. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct source {
	bool is_imap;     /* else POP3 */
	bool is_implicit; /* imaps, pop3s: TLS from the first byte */
	char *user;       /* NULL = not in the URL */
	char *host;       /* lower case; an IPv6 address without brackets */
	uint16_t port;    /* never 0 */
	char *folder;     /* shown path below the account, "" = all of it */
};

/* imaps://user@host[:993][/Folder] and the like; %XX is decoded. On failure *error (EX_USAGE) says
 * why and *source stays untouched. A password in the URL is refused and not repeated. */
bool source_parse(const char *url, struct source *source, GError **error);
void source_done(struct source *source);

bool source_is_url(const char *text); /* has "://" */
/* A name for an account: 1 … 64 of letters, digits and "._@+-", not starting with '.' or '-'. */
bool source_is_account_name(const char *text);

/* What a cache belongs to: "imap://user@host", the port only where it is not the usual one. The same
 * for imap and imaps. g_free() it. `source->user` is set. */
char *source_identity(const struct source *source);
/* One safe path component, at most 200 bytes: user@host, "_port" where unusual. g_free() it. */
char *source_directory(const struct source *source);
/* For the mount table: "user@host:", without what fusermount would stumble over. g_free() it. */
char *source_fsname(const struct source *source);
