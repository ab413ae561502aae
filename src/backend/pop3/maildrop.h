/* SPDX-License-Identifier: MIT */
/*
 * What is in the maildrop, as the session sees it: UIDL and LIST, put together. Loop thread; owned
 * by the session. RFC 1939 §5, §7.
 *
 * A message is known by its key (P3-2):
 *   its UIDL, if that is printable ASCII and no longer than 70;
 *   "sha256:…" of one that is not;
 *   UIDL~SIZE, or UIDL~SIZE~N, of those that share a UIDL: when one of them goes, no other one takes
 *     its name and with it its cached bytes;
 *   "top:…", a hash of header and size, where there is no UIDL (or it is just the number of the
 *     message, which the next one inherits).
 * The last two are weak: nothing is deleted by them. A listing that has no end, or in which UIDL
 * and LIST disagree about what is there, is an error, never a smaller maildrop (P3-14).
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
	unsigned open;        /* commands without an answer */
	bool no_uidl;
	GArray *uidls;        /* scratch: struct maildrop_entry, as UIDL told */
};

void maildrop_init(struct maildrop *drop);
void maildrop_done(struct maildrop *drop);

/* True: it is listed. False: it is being listed, and the requests that wait for it go on then. */
bool maildrop_want(struct mailfs_session *s);
/* Forgets the listing; nothing may be under way that uses it. */
void maildrop_forget(struct maildrop *drop);
/* NULL: there is no such message. */
const struct maildrop_entry *maildrop_find(const struct maildrop *drop, const char *key);

/* The key of a UIDL; appended to `out`. False: it is none. */
bool maildrop_key_of_uidl(const char *uidl, GString *out);
/* "+OK 3 abc", without +OK, and lines of a listing: the number, and what stands behind it. */
bool maildrop_split(const char *line, uint32_t *ret_number, const char **ret_rest);
