/* SPDX-License-Identifier: MIT */
/*
 * From a mail address to servers that may have its mail: SRV records (RFC 6186, RFC 8314), then the
 * autoconfiguration files that Thunderbird looks for, in its order, then a table of large providers.
 * Blocks; for mailfsctl only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct discovery {
	bool is_implicit; /* imaps, else imap with STARTTLS */
	char *host;
	uint16_t port;
	char *user; /* NULL = not told: the address, or what is before its "@" */
	const char *how;
	const char *note; /* what one has to know of this provider; NULL = nothing */
	/* It came by TLS, from our table, or lies in the address's own domain. Otherwise somebody who
	 * can forge DNS may have named a server of his own: a person has to agree. */
	bool is_trusted;
};

/* struct discovery *, the best first; may be empty. `address` has one "@". unref it. */
GPtrArray *discover(const char *address);

/* ---- parts, for tests ---- */

/* Adds the servers of a config-v1.1.xml; false = it is none. */
bool autoconfig_parse(const char *text, const char *address, GPtrArray *found, GError **error);
/* Adds the row of the domain; false = not in the table. */
bool provider_find(const char *domain, GPtrArray *found);
GPtrArray *discoveries_new(void);
