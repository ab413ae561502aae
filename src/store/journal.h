/* SPDX-License-Identifier: MIT */
/*
 * What is not on the server yet and must not be lost: changes of flags, moves under way, new
 * messages (their bytes are in store/spool.h), messages that may leave the server because they are
 * kept here (likewise), and the names that people gave. Not a cache: it
 * lives in the state directory, nothing is ever evicted, and damage is an error, never repaired by
 * forgetting.
 *
 *   DIR/lock         held (flock) while open: one mount per account
 *   DIR/journal.db   SQLite, WAL, its own thread
 *   DIR/spool/ID     bytes of a new message, or of one that is kept
 *
 * All rows are read at open and kept by whoever works on them; the journal only writes. Loop
 * thread; calls copy what they are given, are carried out in order, many in one transaction, and
 * answer from the loop, exactly once. What was answered without error is on the disk, what was
 * answered with one is not: a row stays as it was before. On a full disk (NO_SPACE) this holds for
 * each transaction by itself, later ones work when there is space again; what
 * nobody waits for (`done` is NULL), and drops, are done with the next one. After any other failure (DISK) every further write fails too, until the
 * next open: a second fsync would tell a lie.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"
#include "store/store.h"

struct journal;

struct journal_config {
	const char *dir;      /* made with 0700 when missing */
	/* "imap://user@host:port". What is pending for another one is refused (INVALID), or, with
	 * is_read_only, not seen. */
	const char *identity;
	bool is_read_only;    /* nothing is made or written; a missing journal is an empty one */
};

/* NULL + error: IN_USE, DISK, NO_SPACE, DENIED, INVALID. Blocks. */
struct journal *journal_open(const struct journal_config *config, GError **error);
/* Finishes what was called before, here and in the spool; callbacks that are due come from inside and
 * may not call anything of it. Blocks. */
void journal_close(struct journal *journal);

/* How long an answer is good for. */
enum journal_durability {
	JOURNAL_LAZY,  /* survives a kill of this process */
	JOURNAL_SYNCED, /* survives a power cut: fsync */
};

/* Ids of all kinds come from one sequence, never 0, never used twice. */
uint64_t journal_new_id(struct journal *journal);

/* ---- flags --------------------------------------------------------------------------------- */

/* One wish of the user for one message. Later rows win over earlier ones. */
struct journal_flags {
	uint64_t id;
	const char *folder; /* wire name */
	uint32_t uidvalidity, uid;
	unsigned add, remove;                      /* enum mailfs_flag */
	const char *add_keywords, *remove_keywords; /* space separated; NULL = none */
};

/* ---- moves --------------------------------------------------------------------------------- */

enum journal_move_kind {
	JOURNAL_MOVE,   /* to another folder */
	JOURNAL_REMOVE, /* for ever */
};

/* A message that leaves its folder. Written before the first command, dropped when it has left or
 * is known to stay. */
struct journal_move {
	uint64_t id;
	enum journal_move_kind kind;
	const char *folder;
	uint32_t uidvalidity, uid;
	const char *target;         /* NULL = REMOVE */
	uint32_t target_uidvalidity; /* 0 = not known */
	uint32_t target_floor;      /* highest UID of the target before; a copy has a higher one */
	uint32_t target_uid;        /* the copy, once known; 0 */
	const char *name;           /* that the user gave; NULL = none */
	uint64_t size;              /* to know it again in the target; 0 = not known */
	int64_t date;               /* likewise */
	bool is_promised;           /* the user was told that it is done: carried out after a restart; else
	                             * only finished if it was half done */
};

/* ---- new messages -------------------------------------------------------------------------- */

enum draft_state {
	DRAFT_OPEN,      /* never closed since it was last written: not to be uploaded */
	DRAFT_SPOOLED,   /* complete; waits for its time or for the server */
	DRAFT_UPLOADING, /* its bytes may be on their way: after a restart the outcome is unknown */
	DRAFT_STORED,    /* the server has it as `uid`; the row waits for the index to know */
	DRAFT_FAILED,    /* refused, see `reason`; stays until somebody decides */
};

struct journal_draft {
	uint64_t id;         /* also the name of its file in the spool */
	enum draft_state state;
	const char *folder;  /* wire name */
	const char *name;    /* file name */
	uint64_t size;
	int64_t mtime_ns, ctime_ns;
	unsigned mode;       /* permission bits that the program asked for: only remembered */
	unsigned flags;
	const char *keywords; /* space separated; NULL = none */
	const char *reason;   /* of FAILED, printable; NULL = none */
	/* Set before the first byte is sent. */
	uint32_t uidvalidity;
	uint32_t uid_floor;  /* highest UID of the folder before: the new one is above */
	uint64_t wire_size;  /* octets as sent (CRLF) */
	uint8_t wire_sha256[32];
	uint32_t uid;        /* of STORED */
	/* The message that it takes the place of, removed after this one is stored. */
	uint32_t replaces_uidvalidity, replaces_uid; /* 0 = none */
	/* The draft that has taken its place: this one is not uploaded (again), and what there is of it
	 * on the server goes when that one is stored. 0 = none. */
	uint64_t successor;
};

/* ---- messages that are kept ----------------------------------------------------------------- */

/* A message of a server that knows them by keys (mailfs/backend.h), whole in the spool. Written when
 * its bytes are on the disk; only then may it be deleted from the server. */
struct journal_kept {
	uint64_t id; /* also the name of its file in the spool */
	const char *folder; /* wire name */
	uint32_t uid;       /* for ever, whatever becomes of the index */
	const char *key;
	uint64_t size;
	uint8_t sha256[32];
	int64_t date;   /* INTERNALDATE */
	int64_t stored; /* s since 1970 */
	bool is_gone;   /* the server has it no more: the key may be another message's */
	/* Of its header, as in struct mailfs_head; NULL = absent. */
	const char *subject, *from, *from_name, *to, *cc, *message_id, *sent;
};

/* ---- names --------------------------------------------------------------------------------- */

struct journal_name {
	const char *folder;
	uint32_t uidvalidity, uid;
	const char *name;
};

/* ---- reading: once, at the start ------------------------------------------------------------ */

struct journal_visitor {
	void (*flags)(void *user, const struct journal_flags *row); /* by id, ascending */
	void (*move)(void *user, const struct journal_move *row);   /* likewise */
	void (*draft)(void *user, const struct journal_draft *row); /* likewise */
	void (*kept)(void *user, const struct journal_kept *row);   /* likewise */
	void (*name)(void *user, const struct journal_name *row);
};
/* From what journal_open() has read; called from inside. Rows of a kind can be visited once. A
 * damaged row is not among them: it was moved to the table `damaged`, and a line in the log says
 * so; the bytes of a damaged draft or kept message stay in the spool. */
void journal_visit(struct journal *journal, const struct journal_visitor *visitor, void *user);

/* ---- writing ------------------------------------------------------------------------------- */

/* `put` inserts or replaces by id (a name: by folder, uidvalidity and uid). `done` may be NULL. */
void journal_put_flags(struct journal *journal, const struct journal_flags *row,
	enum journal_durability durability, store_done_fn done, void *user);
void journal_put_move(struct journal *journal, const struct journal_move *row,
	enum journal_durability durability, store_done_fn done, void *user);
void journal_put_draft(struct journal *journal, const struct journal_draft *row,
	enum journal_durability durability, store_done_fn done, void *user);
/* A copy, with its strings. */
struct journal_kept *journal_kept_copy(const struct journal_kept *row);
void journal_kept_free(struct journal_kept *row);
void journal_put_kept(struct journal *journal, const struct journal_kept *row,
	enum journal_durability durability, store_done_fn done, void *user);
void journal_put_name(struct journal *journal, const struct journal_name *row, store_done_fn done,
	void *user);

/* Rows of any kind but names. Dropping what is not there is fine. */
void journal_drop(struct journal *journal, const uint64_t *ids, size_t count,
	enum journal_durability durability, store_done_fn done, void *user);
void journal_drop_name(struct journal *journal, const char *folder, uint32_t uidvalidity,
	uint32_t uid);
/* Names of a folder: all of another UIDVALIDITY (0 = all) go. */
void journal_drop_names(struct journal *journal, const char *folder, uint32_t uidvalidity_kept);
/* A folder was renamed by us: rows of `from` and of what is below it (`from` + delimiter …) follow,
 * with their UIDVALIDITYs as they are. */
void journal_rename_folder(struct journal *journal, const char *from, const char *to,
	char delimiter, store_done_fn done, void *user);

/* Rows written or dropped and not yet committed; for tests. */
unsigned journal_pending(const struct journal *journal);
