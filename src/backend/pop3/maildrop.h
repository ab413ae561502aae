/* SPDX-License-Identifier: MIT */
/*
 * What is in the maildrop, as the session sees it: UIDL and LIST, put together. Loop thread; owned
 * by the session. RFC 1939 §5, §7.
 *
 * A message is known by its key (P3-2):
 *   its UIDL, if that is printable ASCII and no longer than 70;
 *   "sha256:…" of one that is not;
 *   "top:…", a hash of header and size, of those that share a UIDL or have none (or just the number
 *     of the message, which the next one inherits);
 *   "body:…", a hash of all of it, of those that share the one before, too, or have no TOP. Of
 *     messages that are the same in every byte each further one has ~N behind it.
 * So none takes over the key of another, and with it its cached bytes. The last two are weak: nothing
 * is deleted by them. A listing that has no end, or in which UIDL and LIST disagree about what is
 * there, is an error, never a smaller maildrop (P3-14).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct mailfs_session;

struct maildrop_entry {
	uint32_t number; /* in this session; never 0 */
	bool is_weak;
	uint64_t size;   /* that the server claims; 0 = it does not say */
	const char *key; /* NULL = it cannot be told apart, and is left out */
};

enum maildrop_state { MAILDROP_UNKNOWN, MAILDROP_ASKED, MAILDROP_LISTED };

struct maildrop {
	enum maildrop_state state;
	GArray *entries;      /* struct maildrop_entry, by number */
	GHashTable *by_key;   /* key → index + 1 */
	GStringChunk *texts;
	bool no_uidl;
	guint max;            /* entries that are kept */
	bool is_cut;          /* … and there are more (P3-15): what is not there is not gone */
	GError *refusal;      /* of UIDL, by a server that has it */
	GArray *uidls;        /* scratch: struct maildrop_entry, as UIDL told */

	/* naming.c */
	bool is_by_body, has_weak;
	guint next;    /* entry to be looked at */
	unsigned open; /* commands without an answer */
};

void maildrop_init(struct maildrop *drop);
void maildrop_done(struct maildrop *drop);

/* True: it is listed. False: it is being listed, and the requests that wait for it go on then. */
bool maildrop_want(struct mailfs_session *s);
/* Forgets the listing; nothing may be under way that uses it. */
void maildrop_forget(struct maildrop *drop);
/* NULL: there is no such message, unless `is_cut`: then nobody knows, and maildrop_beyond() says so. */
const struct maildrop_entry *maildrop_find(const struct maildrop *drop, const char *key);

GError *maildrop_beyond(void);

/* naming.c: gives each entry its key, then maildrop_listed(). */
void maildrop_name(struct mailfs_session *s);
/* Everything is known of each: whoever waits goes on. */
void maildrop_listed(struct mailfs_session *s);

/* The key of a UIDL; appended to `out`. False: it is none. */
bool maildrop_key_of_uidl(const char *uidl, GString *out);
/* "+OK 3 abc", without +OK, and lines of a listing: the number, and what stands behind it. */
bool maildrop_split(const char *line, uint32_t *ret_number, const char **ret_rest);
