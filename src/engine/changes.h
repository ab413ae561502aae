/* SPDX-License-Identifier: MIT */
/*
 * What the user changes: flags, places, folders, new messages. Part of engine.h: loop thread,
 * requests answer exactly once (also from inside the call), a ticket of 0 means answered already,
 * engine_cancel() stops the answer, never the change once it was journalled or sent.
 *
 * On a read-only account everything here fails with MAILFS_ERROR_READ_ONLY.
 */
#pragma once

#include "engine/engine.h"
#include "store/journal.h"

/* ---- rights -------------------------------------------------------------------------------- */

/* What may be done in a folder, as far as is known: enum mailfs_right. READ_ONLY mounts: 0. */
unsigned engine_rights(const struct engine *engine, const struct folder *folder);

/* ---- changer.c: flags ---------------------------------------------------------------------- */

struct engine_flag_change {
	bool is_replacement; /* `add` and `add_keywords` are the whole set; a delta is made of it */
	unsigned add, remove; /* enum mailfs_flag; a flag in both: removed */
	const char *const *add_keywords, *const *remove_keywords; /* NULL-terminated or NULL */
};

/*
 * Shown at once (message_changed comes before the answer), journalled, sent after 50 ms or 100
 * changes in as few STOREs as will do. Answers when it is journalled; with `-o flags=sync` when the
 * server has said yes. A refusal later on undoes it and leaves a reason.
 * Errors: GONE; NOT_POSSIBLE (PERMANENTFLAGS do not hold it); DENIED (rights); INVALID (not an
 * atom, over 64 bytes, over 100); DISK, NO_SPACE (journal).
 */
engine_ticket engine_change_flags(struct engine *engine, uint32_t box_id, uint32_t uid,
	const struct engine_flag_change *change, engine_done_fn done, void *user);

/* It was read and `-o seen=read` was given: \Seen, if it is not and may be. Nobody waits. */
void engine_mark_read(struct engine *engine, uint32_t box_id, uint32_t uid);

/* ---- keep.c: bodies that are wanted here --------------------------------------------------------- */

/* Fetches the body and never evicts it (true); forgets that and the bytes (false). */
engine_ticket engine_keep(struct engine *engine, uint32_t box_id, uint32_t uid, bool is_wanted,
	engine_done_fn done, void *user);

/* ---- mover.c: places ----------------------------------------------------------------------- */

/*
 * To another folder, shown there as `name` (NULL: as its view has it). Answers when the server has
 * confirmed. The kernel holds both directories' locks meanwhile and so serialises calls for one
 * directory; hence a burst: once a move between two folders was confirmed, those that follow within
 * a second are answered when they are journalled and sent together, as long as all before them were
 * confirmed; the first one refused stays where it was, leaves a reason, and fails the next call.
 * (`-o confirm=each`: every single one waits.) Errors: OFFLINE, GONE, DENIED, QUOTA, …
 */
engine_ticket engine_move(struct engine *engine, uint32_t box_id, uint32_t uid,
	struct folder *target, const char *name, engine_done_fn done, void *user);
/* Was a message promised to `target` under this name and is not shown there yet? Then it is still
 * found where it was (a box of 0: nowhere any more). */
bool engine_find_arriving(const struct engine *engine, const struct folder *target,
	const char *name, uint32_t *ret_box_id, uint32_t *ret_uid);
/* All that was promised to the folder is shown there, or has turned out not to come. OFFLINE. */
engine_ticket engine_await_arrivals(struct engine *engine, struct folder *folder,
	engine_done_fn done, void *user);
/* All that was promised to leave the folder has left, or stays after all. OFFLINE. */
engine_ticket engine_await_departures(struct engine *engine, struct folder *folder,
	engine_done_fn done, void *user);
/* As `-o delete` says: into \Trash, or for ever. Inside \Trash for ever. NOT_POSSIBLE: `no`, or no
 * trash folder. Answers like engine_move(). */
engine_ticket engine_delete(struct engine *engine, uint32_t box_id, uint32_t uid,
	engine_done_fn done, void *user);
/* Would it, as far as is known here? Asked before something is put in its place. */
bool engine_may_delete(struct engine *engine, uint32_t box_id, uint32_t uid, GError **error);
/* All moves and removals of the folder that were answered early are confirmed; the error of one
 * that was not. Before rmdir, fsync of a directory, unmount. */
engine_ticket engine_settle(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user);

/* Is a message hidden: on its way out of its folder, or being replaced? */
bool engine_is_hidden(const struct engine *engine, uint32_t box_id, uint32_t uid);

/* ---- names.c: names that were given --------------------------------------------------------- */

/* The name that a user gave on this mount; NULL = none. Borrowed until the next change. */
const char *engine_given_name(const struct engine *engine, uint32_t box_id, uint32_t uid);
/* The message of that given name in the box; 0 = none. */
uint32_t engine_given_uid(const struct engine *engine, uint32_t box_id, const char *name);
/* The name was given in the folder, perhaps to a message that the index does not know yet. */
bool engine_may_be_given(const struct engine *engine, const struct folder *folder,
	const char *name);
/* Are there any in the box? */
bool engine_has_given(const struct engine *engine, uint32_t box_id);
/* A rename within the folder; NULL: as its view has it. Answers when it is journalled. EXISTS: another
 * message of the folder has it as a given name. */
engine_ticket engine_give_name(struct engine *engine, uint32_t box_id, uint32_t uid,
	const char *name, engine_done_fn done, void *user);

/* ---- folder_change.c ----------------------------------------------------------------------- */

/* `name`: one component as the user typed it (UTF-8); INVALID, EXISTS, NOT_EMPTY, NOT_POSSIBLE
 * (INBOX, \NoInferiors), OFFLINE. Answers when the server has confirmed and the tree shows it.
 * `parent` may be the root of the tree. */
engine_ticket engine_make_folder(struct engine *engine, struct folder *parent, const char *name,
	engine_done_fn done, void *user);
engine_ticket engine_remove_folder(struct engine *engine, struct folder *folder,
	engine_done_fn done, void *user);
engine_ticket engine_rename_folder(struct engine *engine, struct folder *folder,
	struct folder *parent, const char *name, engine_done_fn done, void *user);
engine_ticket engine_subscribe_folder(struct engine *engine, struct folder *folder, bool is_wanted,
	engine_done_fn done, void *user);

/* ---- outbox.c: new messages ----------------------------------------------------------------- */

/* A file that is not a message on the server yet. Read-only outside of the outbox. */
struct draft {
	uint64_t id;         /* 1 … 2^56 - 1; in the inode number */
	uint32_t dir_id;     /* of its folder; 0 = the folder is no more */
	enum draft_state state;
	char *folder;        /* wire name */
	char *name;
	uint64_t size;
	int64_t mtime_ns, ctime_ns;
	unsigned mode;
	unsigned flags;
	char *keywords;      /* sorted, space separated; "" = none */
	char *reason;        /* of DRAFT_FAILED; NULL = none */
	uint32_t replaces_uid;
	unsigned handles;    /* open ones */
	unsigned references; /* draft_ref() */
	bool is_unlinked;    /* has no name any more; goes with the last handle */
};

struct draft *engine_draft_by_id(const struct engine *engine, uint64_t id); /* NULL = none */
struct draft *engine_draft_by_name(const struct engine *engine, const struct folder *folder,
	const char *name);
/* Calls fn for each visible draft of the folder, by id, ascending. */
typedef void (*engine_draft_fn)(void *user, struct draft *draft);
void engine_each_draft(const struct engine *engine, const struct folder *folder, engine_draft_fn fn,
	void *user);

/* Creates and opens it (one handle) at once: answered from inside; its journal row follows with
 * the first flush. NULL + error: READ_ONLY, DENIED (rights: insert), NOT_POSSIBLE (\Noselect). */
struct draft *engine_draft_create(struct engine *engine, struct folder *folder, const char *name,
	unsigned mode, GError **error);
void engine_draft_open(struct engine *engine, struct draft *draft);
/* The last one: 2 s later, if the name is not a temporary one, it is uploaded. */
void engine_draft_close(struct engine *engine, struct draft *draft);

/* Cannot be cancelled: the callbacks always come. A draft that is being uploaded is cut loose from
 * that upload by a write: the new content is a new message that replaces the one on its way. */
void engine_draft_write(struct engine *engine, struct draft *draft, uint64_t offset, GBytes *bytes,
	engine_done_fn done, void *user);
void engine_draft_truncate(struct engine *engine, struct draft *draft, uint64_t size,
	engine_done_fn done, void *user);
typedef void (*engine_bytes_fn)(void *user, GBytes *bytes, const GError *error);
void engine_draft_read(struct engine *engine, struct draft *draft, struct mailfs_range range,
	engine_bytes_fn done, void *user);
/* close(2): what was written is durable here when it answers, file, directory and journal row.
 * TOO_BIG (APPENDLIMIT), INVALID (NUL), QUOTA as far as they are known now. */
void engine_draft_flush(struct engine *engine, struct draft *draft, engine_done_fn done, void *user);
/* fsync(2): flushed, then uploaded now if it is complete, named for good and the server is there:
 * the server's verdict. Else as flush. May be cancelled. */
engine_ticket engine_draft_sync(struct engine *engine, struct draft *draft, engine_done_fn done,
	void *user);

/* Attributes; journalled, answer when they are. */
void engine_draft_set_mtime(struct engine *engine, struct draft *draft, int64_t mtime_ns,
	engine_done_fn done, void *user);
void engine_draft_set_mode(struct engine *engine, struct draft *draft, unsigned mode);
void engine_draft_change_flags(struct engine *engine, struct draft *draft,
	const struct engine_flag_change *change, engine_done_fn done, void *user);

/* rename(2) of a draft. Over another draft: that one goes. `over_uid`: over that message of the
 * folder, which is hidden now and removed once this one is stored (NOT_POSSIBLE with delete=no). */
void engine_draft_rename(struct engine *engine, struct draft *draft, struct folder *folder,
	const char *name, uint32_t over_uid, engine_done_fn done, void *user);
/* unlink(2). While it is being uploaded: waits for the outcome, then removes the message; one that is
 * stored already as engine_delete() does. */
engine_ticket engine_draft_unlink(struct engine *engine, struct draft *draft, engine_done_fn done,
	void *user);

struct draft *draft_ref(struct draft *draft);
void draft_unref(struct draft *draft);

/* ---- what waits, for people ------------------------------------------------------------------ */

struct engine_pending {
	uint64_t id;
	const char *kind;   /* "flags", "move", "remove", "message" */
	const char *state;  /* "spooled", "uploading", "failed", … */
	const char *folder; /* decoded path */
	const char *text;   /* name, or what changes; printable */
	const char *reason; /* NULL = none */
};
typedef void (*engine_pending_fn)(void *user, const struct engine_pending *item);
void engine_each_pending(struct engine *engine, engine_pending_fn fn, void *user);
/* Try a failed one again now (0: all). GONE: no such id. */
int engine_pending_retry(struct engine *engine, uint64_t id); /* 0 or -ENOENT */
/* Gives it up for good: a new message is deleted here. */
int engine_pending_drop(struct engine *engine, uint64_t id);
/* Everything that waits is sent, or cannot be now; at most `timeout_ms`. At the unmount. */
void engine_flush(struct engine *engine, unsigned timeout_ms, void (*done)(void *user), void *user);
