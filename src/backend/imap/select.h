/* SPDX-License-Identifier: MIT */
/*
 * The open mailbox of a session. A read-only session opens by EXAMINE and nothing else: nothing can
 * change then (\Seen, \Recent). All others use SELECT for everything, so that a change needs no
 * opening of its own; bodies are read by PEEK either way. Loop thread; owned by the session.
 * RFC 9051 §6.3.2, §6.3.3, RFC 7162 §3.1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "wire/imap_reader.h"

struct mailfs_session;
struct request;
struct command;

enum box_state {
	BOX_NONE,
	BOX_OPENING, /* SELECT is in flight: untagged data describes the new one */
	BOX_OPEN,
};

struct box {
	enum box_state state;
	char *name; /* wire name; NULL = none */

	/* Reset by box_reset(). */
	uint32_t uidvalidity; /* 0 = none given, or not a number of 32 bits (ID-2) */
	uint32_t uidnext;
	bool has_exists;
	uint32_t exists;        /* kept up to date */
	uint64_t highestmodseq; /* 0 = none, or NOMODSEQ */
	bool is_read_only;
	bool has_loose_uids; /* [UIDNOTSTICKY] */
	bool has_permanent_flags, has_star;
	unsigned permanent_flags;
	char **keywords;     /* NULL-terminated, or NULL */
	bool has_rights;     /* told by a code, without being asked */
	unsigned rights;     /* enum mailfs_right */
	bool is_change_told; /* folder_changed was reported since it was opened */
};

void box_reset(struct box *box);
bool box_is(const struct box *box, const char *name); /* this one is open */

/* EXISTS, EXPUNGE, VANISHED, FLAGS and the codes of untagged OK. True: taken. */
bool box_on_untagged(struct mailfs_session *s, const struct imap_response *response);

typedef void (*select_fn)(struct request *request, const GError *error);
/* The command that opens `name`. `then` (may be NULL) hears the result if `request` still lives.
 * When it fails, every waiting command for this box fails too. NULL: no server takes the name. */
struct command *select_new(struct mailfs_session *s, const char *name, struct request *request,
	select_fn then);
/* MYRIGHTS, to be queued just before a select that it travels with. `ret_rights` is set when an answer
 * comes, until `request` ends. NULL where nobody needs to ask: no ACL, read-only, refused before. */
struct command *select_rights_new(struct mailfs_session *s, const char *name,
	struct request *request, unsigned *ret_rights);
/* Tells what the box was when it was opened, and how many messages it has now. */
void select_tell_status(const struct mailfs_session *s);
/* It goes out: what was known of the box before is void. */
void select_on_sent(struct mailfs_session *s, const struct command *command);
