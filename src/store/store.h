/* SPDX-License-Identifier: MIT */
/*
 * The cache of one account on disk: a SQLite index on a thread of its own, bodies in files. It may
 * be deleted at any time at the cost of bandwidth; a damaged index is set aside and built anew.
 *
 * Loop thread calls; answers come from the loop, in the order of the calls, exactly once, never
 * from inside the call. Nothing here blocks the loop but store_open() and store_close().
 *
 *   DIR/lock              held (flock) while open: one mount per account
 *   DIR/index.db          SQLite, WAL
 *   DIR/bodies/BOX/UID    a cached message that is large or partial; BOX as six hex digits
 *   DIR/bodies/000000/N   many small cached messages each
 *   DIR/index.db.damaged  the last index that was set aside
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"
#include "model/message.h"

struct store;

struct store_config {
	const char *dir;      /* made with 0700 when missing; refused when not ours or writable to others */
	const char *identity; /* "imap://user@host:port": a cache of another identity is set aside */
	uint64_t max_bytes;   /* of bodies */
};

/* After post_workers_start(). NULL + error: MAILFS_ERROR_IN_USE (another mount has it), DISK,
 * NO_SPACE, DENIED. */
struct store *store_open(const struct store_config *config, GError **error);
/* Finishes what was called before, checkpoints, unlocks, frees. Callbacks that are still due do
 * not come, but body_read() is answered; bodies that are still held cover nothing and may be unreferenced later. Blocks; before
 * post_workers_stop(). NULL is fine. */
void store_close(struct store *store);

/* Failures of the index while running: the cache goes on in memory; said once in the log. */
bool store_is_broken(const struct store *store);
const char *store_dir(const struct store *store);

/* ---- account ------------------------------------------------------------------------------- */

#define STORE_TRUST_PROVEN 32u /* bodies after which claimed sizes are believed */

/* How far RFC822.SIZE is believed; product rule "unproven, trusted, liar". */
struct store_trust {
	uint32_t proven;       /* bodies whose size was as claimed, counted up to 32 */
	bool is_liar;          /* a mismatch was seen, ever */
	bool is_range_unstable; /* ranges of one message did not fit each other, ever (SZ-7) */
};
struct store_trust store_get_trust(struct store *store); /* read at open; loop's copy */
void store_put_trust(struct store *store, struct store_trust trust);

/* What was measured of the link to the server: the engine's own words, one line of less than 64
 * bytes; NULL = nothing. Valid until the next store_put_link(). */
const char *store_get_link(const struct store *store);
void store_put_link(struct store *store, const char *text);

/* ---- folders ------------------------------------------------------------------------------- */

/* A folder as the index knows it. Strings belong to the struct that holds it. */
struct store_folder {
	uint32_t dir_id; /* 24 bits, hash of (identity, wire name), probed; the directory's inode */
	char *name;      /* wire name */
	char *path;      /* decoded */
	char delimiter;
	unsigned flags;  /* enum mailfs_folder_flag */
	char *role;      /* NULL = none */

	/* The mailbox synced last; box_id 0 = never. */
	uint32_t box_id; /* 24 bits, hash of (identity, wire name, uidvalidity), probed */
	uint32_t uidvalidity;
	uint64_t modseq;
	int64_t listing_ns;
	uint32_t messages, unseen; /* as of the last sync */
};

/* All folders, read synchronously at open: the tree without network. Borrowed until the next
 * store_set_folders(). Array of struct store_folder *. */
const GPtrArray *store_folders(struct store *store);
/* The new listing, whole: known names keep dir_id and mailbox, new names get ids, missing ones are
 * forgotten with their messages and bodies. Done when committed. Folders are read from `infos`
 * during the call; ids are assigned at once: store_folders() is up to date on return. */
void store_set_folders(struct store *store, const struct mailfs_folder_info *infos, size_t count);

/* ---- messages ------------------------------------------------------------------------------ */

/* The id of the mailbox (name, uidvalidity), assigned at once. A folder that is not listed gets an
 * id too, but no messages of it are kept. If it differs from the folder's last box_id, that one's
 * messages and bodies are forgotten. */
uint32_t store_box_id(struct store *store, const char *folder, uint32_t uidvalidity);
/* `from` and what is below it bear other names from now on: what is known of their mailboxes stays.
 * Right before store_set_folders() with a listing that has them. */
void store_rename_folders(struct store *store, const char *from, const char *to, char delimiter);

/* A mailbox from the index. `box` is given to the callback's owner; NULL: not known or damaged. */
typedef void (*store_box_fn)(void *user, struct mailbox *box);
void store_load_box(struct store *store, uint32_t box_id, store_box_fn done, void *user);

/* Changes to one mailbox that become durable together. Build on the loop, then commit (gives it
 * away). Everything is copied. */
struct store_batch;
struct store_batch *store_batch_new(struct store *store, uint32_t box_id);
void store_batch_free(struct store_batch *batch); /* not committed */
/* Inserts or replaces the row from the model; keywords as text ("a b"). `head`, `remote_id`,
 * `thread_id`, `name` NULL: what the row has already stays. `modseq` 0: likewise. */
struct store_message {
	const struct message *message;
	const char *keywords;
	const char *name; /* file name given, stored for ever */
	const struct mailfs_head *head;
	const char *remote_id, *thread_id;
	uint64_t modseq;
};
void store_batch_put(struct store_batch *batch, const struct store_message *row);
void store_batch_remove(struct store_batch *batch, uint32_t first_uid, uint32_t last_uid);
/* The state of the folder after everything put before it; only with the last batch of a sync. */
void store_batch_set_state(struct store_batch *batch, uint64_t modseq, int64_t listing_ns,
	uint32_t messages, uint32_t unseen);
typedef void (*store_done_fn)(void *user, const GError *error);
void store_batch_commit(struct store_batch *batch, store_done_fn done, void *user); /* done may be NULL */
/* Rows that were put but not yet committed: back pressure for the sweep. */
size_t store_pending_rows(const struct store *store);

/* Names of messages with UID > after_uid, ascending, at most `limit`, those with a stored name
 * only. Borrowed for the call. */
typedef void (*store_names_fn)(void *user, size_t count, const uint32_t *uids,
	const char *const *names);
void store_load_names(struct store *store, uint32_t box_id, uint32_t after_uid, size_t limit,
	store_names_fn done, void *user);

/* Likewise the remote ids of all messages that have one. */
void store_load_keys(struct store *store, uint32_t box_id, store_names_fn done, void *user);

/* Everything the index knows of one message; NULL: not there. Borrowed for the call. */
struct store_details {
	struct mailfs_head head; /* members NULL when not known */
	bool has_head;
	const char *name;
	const char *remote_id, *thread_id;
	uint64_t modseq;
	uint64_t body_bytes;  /* cached */
	bool is_body_complete;
	bool is_pinned;
};
typedef void (*store_details_fn)(void *user, const struct store_details *details);
void store_load_details(struct store *store, uint32_t box_id, uint32_t uid, store_details_fn done,
	void *user);

/* ---- bytes used ---------------------------------------------------------------------------- */

struct store_usage {
	uint64_t body_bytes, max_bytes;
	uint64_t bodies;
	uint64_t evicted; /* bodies, since open */
	uint64_t dead_bytes; /* on disk, of bodies that are gone; given back in the background */
};
struct store_usage store_usage(const struct store *store);

/* Of one mailbox; `cached`: whole bodies. */
struct store_count {
	uint32_t box, cached, pinned;
	uint64_t bytes;
};
/* Counts anew; what was counted last, nothing before. */
void store_count_bodies(struct store *store, store_done_fn done, void *user);
struct store_count store_counted(const struct store *store, uint32_t box_id);
