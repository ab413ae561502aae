/* SPDX-License-Identifier: MIT */
/*
 * The SQL of the index. Owner: store thread, from the moment store_open() has read what it needs.
 * Functions return SQLITE_OK or SQLite's code; outputs stay untouched on failure. A row whose
 * checksum is wrong counts as absent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <sqlite3.h>

#include "mailfs/types.h"
#include "model/message.h"
#include "store/store.h"

struct index;

/* `ret_why` says what is wrong when the result is not SQLITE_OK: SQLITE_FULL = no space, else the
 * file is of no use. */
int index_open(const char *path, const char *identity, struct index **ret_index, char **ret_why);
/* Checkpoints. NULL is fine. */
void index_close(struct index *index);
const char *index_error(const struct index *index);

/* Reads all of it. SQLITE_CORRUPT: rows lie where they cannot be found, or belong to two tables. */
int index_check(struct index *index);

int index_begin(struct index *index);
int index_commit(struct index *index);
void index_rollback(struct index *index);

/* ---- account, folders ---------------------------------------------------------------------- */

int index_get_meta(struct index *index, const char *key, char **ret_value); /* NULL = absent */
int index_put_meta(struct index *index, const char *key, const char *value);

struct store_folder *store_folder_new(const char *name);
void store_folder_free(gpointer folder);
/* Appends struct store_folder * to `folders`. */
int index_load_folders(struct index *index, GPtrArray *folders);
/* Replaces all rows, or only those of these folders. */
int index_put_folders(struct index *index, const GPtrArray *folders, bool is_whole);

/* ---- boxes and messages -------------------------------------------------------------------- */

struct index_state {
	uint64_t modseq;
	int64_t listing_ns;
	uint32_t messages, unseen;
};
/* Begins empty, whatever was there. */
int index_put_box(struct index *index, uint32_t box, uint32_t uidvalidity);
bool index_knows_box(struct index *index, uint32_t box, int *ret_rc);
int index_put_state(struct index *index, uint32_t box, const struct index_state *state);
/* Rows of box, message, name, detail; not body. */
int index_forget_box(struct index *index, uint32_t box);
/* `head` etc. as in struct store_message. */
int index_put_message(struct index *index, uint32_t box, const struct store_message *row);
int index_remove_messages(struct index *index, uint32_t box, uint32_t first, uint32_t last);

/* *ret_box NULL: not known, or damaged (then *ret_is_damaged). */
int index_load_box(struct index *index, uint32_t box, struct mailbox **ret_box,
	bool *ret_is_damaged);
/* Strings of `ret_names` are owned by it. */
int index_load_names(struct index *index, uint32_t box, uint32_t after_uid, size_t limit,
	GArray *ret_uids, GPtrArray *ret_names);

/* The remote ids of a mailbox. Strings of `ret_keys` are owned by it. */
int index_load_keys(struct index *index, uint32_t box, GArray *ret_uids, GPtrArray *ret_keys);

/* Owns its strings. */
struct index_details {
	char *texts[7]; /* in the order of struct mailfs_head */
	char *name, *remote_id, *thread_id;
	uint64_t modseq;
	bool is_known, has_head;
};
int index_load_details(struct index *index, uint32_t box, uint32_t uid, struct index_details *ret);
void index_details_done(struct index_details *details);

/* ---- bodies -------------------------------------------------------------------------------- */

struct index_body {
	uint32_t box, uid;
	uint32_t pack; /* 0 = a file of its own */
	uint64_t pack_offset;
	uint64_t bytes, used;
	bool is_complete, is_pinned;
	GBytes *extents; /* NULL where not asked for */
};
int index_put_body(struct index *index, const struct index_body *body);
/* *ret_is_known false: no such row, or damaged. `ret->extents` is a new reference. */
int index_load_body(struct index *index, uint32_t box, uint32_t uid, struct index_body *ret,
	bool *ret_is_known);
int index_touch_body(struct index *index, uint32_t box, uint32_t uid, uint64_t used);
int index_remove_body(struct index *index, uint32_t box, uint32_t uid);
/* All bodies with a UID in first … last, as struct index_body (box, uid, bytes, pack), appended. */
int index_list_bodies(struct index *index, uint32_t box, uint32_t first, uint32_t last,
	GArray *bodies);
/* Least recently used first, pinned ones never, until they hold `bytes`, at most `limit`. */
int index_oldest_bodies(struct index *index, uint64_t bytes, size_t limit, GArray *bodies);
/* Appends the UIDs of a box that have a row, as uint32_t. */
int index_list_body_uids(struct index *index, uint32_t box, GArray *uids);
/* Appends a struct store_count for each box that has rows, by box. */
int index_count_bodies(struct index *index, GArray *counts);
/* All rows: of each `bytes`, `used`, `pack`, `pack_offset`. SQLITE_CORRUPT: the tree is wrong. */
typedef void (*index_body_fn)(void *user, const struct index_body *body);
int index_scan_bodies(struct index *index, index_body_fn fn, void *user);
/* Rows of a pack behind (box, uid), in that order; of each box, uid, bytes, pack. At most
 * `limit`. */
int index_list_pack(struct index *index, uint32_t pack, uint32_t box, uint32_t uid, size_t limit,
	GArray *bodies);
int index_has_pack(struct index *index, uint32_t pack, bool *ret_has);

/* ---- the same message elsewhere: index_same.c ---------------------------------------------- */

/* Appends (box << 32 | uid) of messages with this remote id, at most `limit`. */
int index_list_same(struct index *index, const char *remote_id, unsigned limit, GArray *keys);
/* Appends the UIDs of a box whose remote id another message has, too, as uint32_t. */
int index_list_same_uids(struct index *index, uint32_t box, GArray *uids);

/* Where the bytes of a message may be found that has no row of its own. */
struct index_copies {
	uint64_t size;          /* of each of them */
	GArray *keys;           /* box << 32 | uid: the same message; NULL = none */
	struct index_body body; /* of one that is whole; `extents` NULL = none */
};
int index_find_copies(struct index *index, uint32_t box, uint32_t uid, struct index_copies *ret);
void index_copies_done(struct index_copies *copies);
