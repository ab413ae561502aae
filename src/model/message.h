/* SPDX-License-Identifier: MIT */
/*
 * One message in memory, and a mailbox: an array of them in UID order. Pure data: only the engine
 * (loop thread) writes it; the store thread builds a mailbox before it gives it away.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"

enum message_bit {
	MESSAGE_SIZE_EXACT = 1u << 0, /* `size` was counted on a whole body, not claimed */
	MESSAGE_HAS_HEAD   = 1u << 1, /* the index holds its header fields */
	MESSAGE_LOCAL      = 1u << 2, /* the server has it no more; its body is kept here */
};

/* 40 bytes. */
struct message {
	uint32_t uid;
	uint32_t name_hash; /* view_name_hash() of the stored name; 0 = no name was stored */
	uint32_t keywords;  /* mailbox_keywords(); 0 = none */
	uint32_t seen_time; /* s since 1970 when \Seen appeared; 0 = not known */
	int64_t date;       /* INTERNALDATE, s since 1970, clamped to what a file system can show */
	int64_t ctime_ns;   /* last change of flags; at first = date */
	uint64_t size : 48;
	uint64_t flags : 8; /* enum mailfs_flag */
	uint64_t bits : 8;  /* enum message_bit */
};

/* A mailbox of one UIDVALIDITY. */
struct mailbox {
	uint32_t id; /* 24 bits, in inode numbers; never reused for another UIDVALIDITY */
	uint32_t uidvalidity;
	uint64_t modseq;       /* of the last complete sync; 0 = none */
	int64_t listing_ns;    /* last time the set of messages changed: directory mtime and ctime */
	GArray *messages;      /* struct message, ascending by uid */
	GArray *late;          /* the same: inserted before the last one, not among them yet */
	uint64_t moved;        /* messages that made room for others, ever */
	GPtrArray *keywords;   /* interned keyword sets: "a b c" sorted, g_free; [0] = "" */
	GHashTable *keyword_ids;
	uint32_t unseen;
};

struct mailbox *mailbox_new(uint32_t id, uint32_t uidvalidity);
void mailbox_free(struct mailbox *box);

uint32_t mailbox_count(const struct mailbox *box);
uint32_t mailbox_uid_max(const struct mailbox *box); /* 0 = empty */
struct message *mailbox_find(const struct mailbox *box, uint32_t uid); /* NULL = none */
/* Index of the first message with a UID >= uid; may be the count. */
size_t mailbox_lower_bound(const struct mailbox *box, uint32_t uid);
struct message *mailbox_at(const struct mailbox *box, size_t index);

/* Adds (or finds) the message; amortised constant at the end, and cheap in any order as long as
 * nobody asks for the order meanwhile. Pointers to messages die, also by the first call after it
 * that asks (mailbox_at(), mailbox_lower_bound()). */
struct message *mailbox_insert(struct mailbox *box, uint32_t uid, bool *ret_is_new);
/* Puts what was inserted in its order now: no pointer dies until the next insert. */
void mailbox_settle(struct mailbox *box);
/* Removes all messages that `is_gone` says; keeps order; linear. Returns how many. */
typedef bool (*message_test_fn)(const struct message *message, void *user);
size_t mailbox_remove_if(struct mailbox *box, message_test_fn is_gone, void *user);
void mailbox_remove_range(struct mailbox *box, uint32_t first, uint32_t last);

/* Interned sets of keywords, for few distinct sets over many messages. Sorted, deduplicated. */
uint32_t mailbox_intern_keywords(struct mailbox *box, const char *const *keywords);
uint32_t mailbox_intern_keyword_text(struct mailbox *box, const char *sorted_text);
const char *mailbox_keywords(const struct mailbox *box, uint32_t id); /* "a b c", "" = none */

/* Sets flags and keywords and keeps `unseen` right; true when something changed. */
bool mailbox_set_flags(struct mailbox *box, struct message *message, unsigned flags,
	uint32_t keywords);
