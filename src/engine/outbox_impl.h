/* SPDX-License-Identifier: MIT */
/*
 * What the files of the outbox share. Loop thread.
 *
 * An item is a new message. Its bytes are in the spool, its row in the journal, and it goes through
 *
 *   OPEN → SPOOLED → UPLOADING → STORED → gone (the message is in the listing under its name)
 *              ↑         ↓ refused      ↑
 *              ├──── FAILED             │ found
 *              └── not found ── outcome unknown: looked for
 *
 * Content that changes while an upload of it is under way makes the item OPEN at once; the upload
 * goes on (`is_stale`), and what comes of it is a message that the new content replaces.
 */
#pragma once

#include "engine/change_impl.h"
#include "store/spool.h"

#define OUTBOX_UPLOADS_MAX 4u

/* What an item is doing. The order counts: from SENDING on the server may have it. */
enum outbox_phase {
	OUTBOX_IDLE,
	OUTBOX_MAKING,    /* the wire form; the folder; the row */
	OUTBOX_SENDING,   /* waits for a session, or is on its way */
	OUTBOX_LOST,      /* the outcome is unknown: waits to be looked for */
	OUTBOX_RESOLVING, /* is looked for */
	OUTBOX_LANDING,   /* stored: waits for the index to know it */
	OUTBOX_LANDED,    /* the message is in the listing; only handles hold the item */
};

struct outbox {
	struct engine *engine;
	struct journal *journal; /* NULL: read-only, there is nothing */
	GHashTable *by_id;       /* uint64_t → struct outbox_item *; a reference */
	GHashTable *all;         /* items that live, also those that only a call still holds */
	GHashTable *by_name;     /* "folder/name" → item; those that are visible */
	GHashTable *by_folder;   /* wire name → GPtrArray of visible items, by id */
	GHashTable *quota;       /* wire name → int64_t *: until then the folder is known to be full */
	GHashTable *hidden;      /* uidvalidity << 32 | uid of what is being replaced; NULL = not made */
	GSequence *planned;      /* items that have something to do, by due_us */
	GHashTable *flying;      /* items from MAKING to LANDING */
	unsigned active;         /* of them, those that do something */
	unsigned indexing;       /* items that wait for the index */
	guint timer;
};

/* Somebody who waits for the outcome of an item. */
struct outbox_waiter {
	struct engine_waiter waiter; /* first; without a ticket: of our own, hears of the end too */
	struct outbox_item *item;
	engine_done_fn done;
	void *user;
};

/* An upload. */
struct outbox_wire {
	uint64_t size; /* 0 = none */
	char *folder;  /* where it goes */
	uint8_t sha256[32];
	char *message_id;
	unsigned flags; /* as sent */
	char *keywords; /* likewise; NULL: sent by a former process */
	uint32_t uidvalidity, uid_floor;
	uint32_t replaces_uid; /* as sent */
};

struct outbox_look; /* outbox_look.c */

struct outbox_item {
	struct draft draft;    /* first; draft.references counts for all of it */
	struct outbox *outbox; /* NULL after the end */
	char *key;             /* in by_name; NULL = not visible */
	struct spool_file *file;
	bool is_dropped;

	/* content */
	uint64_t content; /* rises with every change */
	uint64_t synced;  /* content that is durable */
	uint64_t torn_from, torn_to; /* of what could not be written; equal = nothing */
	bool saw_nul;     /* among what was written */
	bool has_nul, is_no_message; /* found when it was made durable */

	/* the upload */
	enum outbox_phase phase;
	bool is_stale;     /* the content has changed since it began */
	bool is_urgent;    /* fsync: open handles do not matter */
	bool is_unlinking; /* goes when the outcome is known */
	bool was_stored;   /* likewise, but it was a message of the server when it was removed */
	struct outbox_wire wire;
	uint32_t uid;
	struct pool_job job;
	struct mailfs_session *session; /* of the append */
	mailfs_ticket ticket;
	GSequenceIter *planned;
	int64_t due_us;
	unsigned tries, doubts;
	unsigned indexing; /* LANDED: the index was asked, and has not answered, so often */
	GQueue waiters; /* struct outbox_waiter *: of the outcome */
	struct outbox_look *look;

	/* what it takes the place of, besides draft.replaces_uid */
	uint32_t replaces_uidvalidity;
	uint64_t successor;      /* id; 0 = none: this one is only resolved, and hides its message */
	GPtrArray *predecessors; /* items whose successor this is */
};

static inline struct outbox_item *outbox_item(struct draft *draft)
{
	return (struct outbox_item *)draft;
}

static inline struct outbox_item *outbox_hold(struct outbox_item *item)
{
	draft_ref(&item->draft);
	return item;
}

static inline void outbox_release(struct outbox_item *item)
{
	draft_unref(&item->draft);
}

/* ---- outbox.c: which there are ---- */

struct outbox_item *outbox_add(struct outbox *outbox, uint64_t id, const char *folder,
	const char *name);
GPtrArray *outbox_items(const struct outbox *outbox); /* by id; borrowed items */
/* Under its name, or not any more. Tells nobody. */
void outbox_show(struct outbox_item *item);
void outbox_hide(struct outbox_item *item);
void outbox_rename(struct outbox_item *item, const char *folder, const char *name);
struct folder *outbox_folder(const struct outbox_item *item); /* NULL = no more */
void outbox_touch(const struct outbox_item *item); /* its folder's listing has changed */
struct outbox_item *outbox_find(const struct outbox *outbox, const char *folder, const char *name);
/* Its row and its bytes go, and it when the last handle is closed. It may be gone afterwards. */
void outbox_drop(struct outbox_item *item);
bool outbox_is_temporary(const char *name);
struct spool_file *outbox_file(struct outbox_item *item); /* opened; borrowed */
void outbox_close_file(struct outbox_item *item);         /* if nobody needs it */
void outbox_put_row(struct outbox_item *item, enum journal_durability durability,
	store_done_fn done, void *user);
void outbox_set_reason(struct outbox_item *item, const char *reason);

/* ---- outbox_hide.c: what is replaced ---- */

void outbox_set_replaces(struct outbox_item *item, uint32_t uidvalidity, uint32_t uid);

/* ---- outbox_write.c ---- */

/* As engine_draft_flush(), but calls back after the end of the engine too. */
void outbox_flush_item(struct outbox_item *item, engine_done_fn done, void *user);
/* What is known already of what the server will say to it. */
bool outbox_has_good_omens(const struct outbox_item *item, const char *name, GError **error);
void outbox_ignore(void *user, const GError *error); /* an answer that nobody waits for */

/* ---- outbox_plan.c: when, and how it ends ---- */

void outbox_set_phase(struct outbox_item *item, enum outbox_phase phase);
void outbox_run(struct outbox *outbox);
void outbox_plan(struct outbox_item *item, unsigned delay_ms);
void outbox_unplan(struct outbox_item *item);
void outbox_refused(struct outbox_item *item, const GError *error);
/* It is not on the server: from the beginning, later if there is an error. */
void outbox_again(struct outbox_item *item, const GError *error);
/* What is under way cannot go on now: what it waits for is tried again later. */
void outbox_wait_and_see(struct outbox_item *item, const GError *error);
void outbox_wire_clear(struct outbox_wire *wire);
bool outbox_may_send(const struct outbox_item *item);
bool outbox_is_flying(enum outbox_phase phase); /* from MAKING to LANDING */
bool outbox_is_online(const struct outbox *outbox);

/* ---- outbox_send.c: the upload ---- */

void outbox_send(struct outbox_item *item);

/* ---- outbox_wait.c: who waits for the outcome ---- */

engine_ticket outbox_wait(struct outbox_item *item, engine_done_fn done, void *user);
/* For ourselves: cannot be cancelled, and comes at the end of the engine too (item->outbox is NULL). */
void outbox_wait_inside(struct outbox_item *item, engine_done_fn done, void *user);
/* All of them are told. */
void outbox_answer(struct outbox_item *item, const GError *error);

/* ---- outbox_look.c: was it stored? ---- */

void outbox_look(struct outbox_item *item);
void outbox_look_free(struct outbox_look *look); /* NULL is fine */

/* ---- outbox_land.c: the message is there ---- */

void outbox_land(struct outbox_item *item);
/* Its row goes, unless something still needs it. It may be gone afterwards. */
void outbox_drop_landed(struct outbox_item *item);
/* The server has it, but nobody knows which it is. */
void outbox_landed_somewhere(struct outbox_item *item);
/* The content changes while the message has its name already: a draft again. */
void outbox_revive(struct outbox_item *item);
/* This one is not on the server, and will not be: what it was to replace stays. */
void outbox_give_up(struct outbox_item *item);
