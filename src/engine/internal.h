/* SPDX-License-Identifier: MIT */
/* What the parts of the engine share. Loop thread. */
#pragma once

#include "engine/changes.h"
#include "engine/link.h"
#include "engine/pool.h"
#include "engine/vault.h"

struct sync;    /* syncer.c: one per folder, in folder->engine */
struct prefetch; /* prefetch.c; NULL = off */
struct fetcher; /* fetcher.c */
struct fill;    /* fill.c */
struct listing; /* listing.c */
struct changer; /* changer.c */
struct mover;   /* mover.c */
struct names;   /* names.c */
struct outbox;  /* outbox.c */
struct gate;    /* gate.c; NULL = the backend asks for no secret */
struct watch;   /* watch.c */

struct engine_waiter;

/* What the owner of a waiter does; the ticket is gone already. Both free it. */
struct engine_waiter_class {
	/* Forgets it; its callback does not come. */
	void (*cancel)(struct engine *engine, struct engine_waiter *waiter);
	/* The engine ends: its callback comes, with this error. */
	void (*fail)(struct engine *engine, struct engine_waiter *waiter, const GError *error);
};

/* Something that waits inside the engine under a ticket. Embedded first in its struct. */
struct engine_waiter {
	engine_ticket ticket;
	const struct engine_waiter_class *class;
};

struct engine {
	struct engine_config config;
	struct engine_events events;
	void *user;

	struct link link;
	struct pool *pool;
	struct tree *tree;
	struct fetcher *fetcher;
	struct fill *fill;
	struct prefetch *prefetch;
	struct listing *listing;
	struct changer *changer;
	struct mover *mover;
	struct names *names;
	struct outbox *outbox;
	struct vault *vault;
	struct watch *watch;
	GHashTable *all_syncs; /* struct sync *, all of them */
	GPtrArray *refreshes;  /* struct refresh *, under way */
	GPtrArray *folder_changes; /* struct folder_change *, under way */

	GHashTable *waiters; /* ticket → struct engine_waiter * */
	engine_ticket last_ticket;

	bool was_started;      /* `started` was told */
	unsigned catching_up;  /* syncs that `started` waits for */
	guint catch_up_timer;
	/* online.c */
	struct gate *gate;
	guint start_timer, look_timer;
	unsigned look_ms;
	bool start_hears;

	GQueue loaded;        /* struct sync with a mailbox in memory, least recently used first */
	size_t loaded_bytes;  /* of all of them */
	guint unload_source, trim_timer;
	guint pressure_timer; /* set while the network is held back */
	bool is_freeing;
	guint last_try; /* pending.c */
	void (*stopped)(void *user);
	void *stopped_user;

	/* for status */
	GPtrArray *reasons;
	char *server; /* "imaps://me@host:993" */
	char *server_id, *server_keeps, *tls, *auth;
	char *compression; /* of the last status */
	bool can_range;
	uint64_t append_limit; /* octets; 0 = not known */
	int64_t last_demand_us; /* somebody wanted bodies that were not here */
	uint64_t ahead_fetched, ahead_used;
	uint64_t bodies_fetched, body_bytes_fetched, reads_from_cache, reads_fetched, bytes_read;
	uint64_t syncs, sweeps;
	int64_t online_since, last_sync;
};

/* ---- tickets.c: who waits ---- */

void engine_waiter_add(struct engine *engine, struct engine_waiter *waiter,
	const struct engine_waiter_class *class);
/* Its callback is about to be called, or it was cancelled: the ticket is no more. */
void engine_waiter_remove(struct engine *engine, struct engine_waiter *waiter);
void engine_fail_waiters(struct engine *engine);   /* all: the mount is ending */
void engine_forget_waiters(struct engine *engine); /* all, without a word */

/* ---- engine.c ---- */

/* Once. */
void engine_tell_started(struct engine *engine, const GError *error);
/* One of the syncs that `started` waits for has ended. */
void engine_caught_up(struct engine *engine);

/* More was handed to the disk than it can take at once? Then the network waits until it has. */
void engine_check_pressure(struct engine *engine);

/* Bytes of the message that were read may not be joined with those that will be. */
void engine_bytes_changed(struct engine *engine, const struct folder *folder, uint32_t uid);

/* One of enum engine_news_kind. */
void engine_tell_news(struct engine *engine, enum engine_news_kind kind, const struct folder *folder,
	uint32_t uid, const char *name, bool is_own);

/* The server was caught lying about a size. */
void engine_distrust(struct engine *engine);
bool engine_has_rough_sizes(const struct engine *engine);

/* ---- online.c ---- */

/* The index knows the account: the mount comes up soon, whatever the server does. */
void online_start(struct engine *engine);
void online_refused(struct engine *engine);
void online_ready(struct engine *engine);
/* Why an account that was never listed cannot be: enum mailfs_error. */
int online_excuse(const struct engine *engine);
void online_free(struct engine *engine); /* after the pool */

/* ---- refresh.c ---- */

void refresh_free(gpointer refresh); /* of engine->refreshes */

/* ---- watch.c: who is listened to, what of it is news ---- */

struct watch *watch_new(struct engine *engine);
void watch_free(struct watch *watch);
void watch_start(struct watch *watch);
void watch_stop(struct watch *watch);
/* A session is ready: what the server can do is known. */
void watch_ready(struct watch *watch, const struct mailfs_server_info *info);
/* Other folders are to be watched than before, perhaps. */
void watch_replan(struct watch *watch);
/* The folder is opened. */
void watch_note_use(struct watch *watch, const struct folder *folder);
/* It changed, says the server. */
void watch_folder_changed(struct watch *watch, const char *name);
void watch_folder_status(struct watch *watch, const struct mailfs_status *status);
void watch_tree_changed(struct watch *watch);
void watch_failed(struct watch *watch, const char *folder, const GError *error);
/* Looks at everything now: events may have been missed. */
void watch_look(struct watch *watch);
/* "notify", "idle: INBOX, …; poll every 60 s"; NULL = not now. Borrowed until the next call. */
const char *watch_describe(struct watch *watch);
int64_t watch_last_look(const struct watch *watch); /* s since 1970; 0 = never */

/* ---- listing.c: the folders ---- */

struct listing *listing_new(struct engine *engine);
void listing_free(struct listing *listing);
/* Asks the server for its folders. `done` may be NULL. Requests made meanwhile share one answer, of a
 * list that was asked for after them. */
void listing_refresh(struct listing *listing, engine_done_fn done, void *user);
/* We have renamed a folder, and what is below it: what is cached of them stays. */
void listing_note_rename(struct listing *listing, const char *from, const char *to, char delimiter);
/* The tree from the index, without network. Tells nobody. */
void listing_from_store(struct listing *listing);
uint32_t listing_count(const struct listing *listing);
bool listing_is_known(const struct listing *listing); /* from the index or the server */

/* ---- syncer.c: the messages of a folder ---- */

engine_ticket syncer_open(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user);
engine_ticket syncer_open_listing(struct engine *engine, struct folder *folder, uint32_t above,
	engine_done_fn done, void *user);
/* Look at the server; done may be NULL. */
void syncer_sync(struct engine *engine, struct folder *folder, engine_done_fn done, void *user);
/* Reads it from the index, for somebody will open it soon, most likely; until then nothing of it is
 * shown. */
void syncer_preload(struct engine *engine, struct folder *folder);
/* At the start: loads the folder and, if the server has news, syncs it; `started` waits for it. */
void syncer_catch_up(struct engine *engine, struct folder *folder);
/* The server's STATUS is not, or cannot be shown to be, what the index has. */
bool syncer_has_news(const struct folder *folder, const struct store_folder *row);
void syncer_drop(struct engine *engine, struct folder *folder); /* the folder is about to be freed */
/* STATUS of the last listing says that `folder` is as it was at its last sync. */
bool syncer_is_unchanged(const struct folder *folder);
/* The folder was opened in this process. */
bool syncer_is_in_use(const struct folder *folder);
/* After the pool: all of them, without another word. */
void syncer_free_all(struct engine *engine);
struct sync *syncer_get(struct engine *engine, struct folder *folder);
/* A message came to the folder, which nobody looks at: who does next hears of it from the server. */
void syncer_note_behind(struct engine *engine, struct folder *folder);
/* The keys of these messages, "" for those that have none; NULL where the backend has no keys.
 * g_free() the array; the strings are borrowed. */
const char **syncer_keys(struct engine *engine, const char *folder, const uint32_t *uids,
	size_t count);
/* The message's row in the index is as it is in memory. */
void syncer_put_row(struct engine *engine, const struct folder *folder,
	const struct message *message);
/* The server has the message no more; it is here. */
void syncer_make_local(struct engine *engine, struct folder *folder, struct message *message);
/* What the server's STATUS tells of it, all or some. */
void syncer_take_status(struct engine *engine, struct folder *folder,
	const struct mailfs_status *status);
/* This is not what was synced last. For a folder whose messages are not known: true. */
bool syncer_differs(const struct folder *folder, const struct mailfs_status *status);
/* Its STATUS was told just now and is not what was synced last; false if a sync after the same STATUS
 * found nothing (syncer_note_moot): some servers count other things there (ID-7). */
bool syncer_is_told_otherwise(const struct folder *folder);
void syncer_note_moot(const struct folder *folder);
/* Its STATUS was told in the last few seconds. */
bool syncer_has_fresh_status(const struct folder *folder);
/* It is looked at as if it had been opened. */
void syncer_note_use(struct engine *engine, struct folder *folder);
int64_t syncer_used_us(const struct folder *folder); /* opened last; 0 = never */

/* ---- fetcher.c: bodies ---- */

struct fetcher *fetcher_new(struct engine *engine);
void fetcher_free(struct fetcher *fetcher);
engine_ticket fetcher_read(struct fetcher *fetcher, uint32_t box_id, uint32_t uid,
	struct mailfs_range range, body_read_fn done, void *user);
engine_ticket fetcher_make_exact(struct fetcher *fetcher, uint32_t box_id, uint32_t uid,
	engine_done_fn done, void *user);
/* Somebody waits for a message of the mailbox, or it is on its way. */
bool fetcher_is_busy(struct fetcher *fetcher, uint32_t box_id);
/* Fetch these messages (ascending) in one request, before somebody asks. Those that are here, or
 * asked for already, are left out. */
void fetcher_fetch_ahead(struct fetcher *fetcher, struct folder *folder, const uint32_t *uids,
	size_t count);
/* The same for nobody who walks: it counts neither as fetched ahead nor as demand. `done` comes from
 * the loop, unless the fetcher is freed before: how it ended, of which UIDs, the bytes that came. */
enum fetcher_end {
	FETCHER_LOST, /* which says nothing about the messages */
	FETCHER_BAD,  /* something was wrong with one of them, perhaps */
	FETCHER_GOOD,
};
struct fetcher_wish {
	const uint32_t *uids;
	size_t count;
	void (*done)(void *user, enum fetcher_end end, uint32_t first, uint32_t last, uint64_t bytes);
	void *user;
};
void fetcher_fill(struct fetcher *fetcher, struct folder *folder, const struct fetcher_wish *wish);
/* A message was opened that was fetched ahead: it counts as used. Others wait for their read. */
void fetcher_note_open(struct fetcher *fetcher, uint32_t box_id, uint32_t uid);
/* It was fetched ahead, was not seen to be used, and may be read elsewhere (message_came). */
bool fetcher_is_elsewhere(const struct fetcher *fetcher, uint32_t box_id, uint32_t uid);
void fetcher_note_used(struct fetcher *fetcher, uint32_t box_id, uint32_t uid);

/* ---- changes.c: what all that change have in common ---- */

/* READ_ONLY: the account, or the folder, takes no changes. DENIED: not all of `rights` are there. */
bool changes_allowed(const struct engine *engine, const struct folder *folder, unsigned rights,
	GError **error);
/* Names or messages of the folder are other than before: a new generation, told. */
void changes_touch_listing(struct engine *engine, struct folder *folder);
/* Told to them: once, when the journal has been read and the tree is there; when
 * the account is online; from the state of a sync (folder->box may be gone already); of a message
 * that is no more; of a mailbox that was read from the index. */
void changes_start(struct engine *engine);
void changes_online(struct engine *engine);
void changes_take_state(struct engine *engine, struct folder *folder,
	const struct mailfs_sync_state *state);
void changes_message_gone(struct engine *engine, const struct folder *folder, uint32_t uid);
void changes_box_loaded(struct engine *engine, struct folder *folder);

/* ---- changer.c: flags ---- */

struct changer *changer_new(struct engine *engine);
void changer_free(struct changer *changer);
/* Sends what waits, at once. True: nothing is under way or about to be sent. Ask again. */
bool changer_flush(struct changer *changer);
/* For the list of what waits. */
void changer_each(struct changer *changer, engine_pending_fn fn, void *user);
/* Gives up the wishes of the message that this id belongs to. */
bool changer_drop(struct changer *changer, uint64_t id);

/* ---- mover.c: places ---- */

struct mover *mover_new(struct engine *engine);
void mover_free(struct mover *mover);
bool mover_flush(struct mover *mover); /* as changer_flush() */
void mover_each(struct mover *mover, engine_pending_fn fn, void *user);
bool mover_drop(struct mover *mover, uint64_t id);
/* The message is being moved or removed by this mount. */
bool mover_has(const struct mover *mover, const struct folder *folder, uint32_t uid);
/* Removes the message for ever, whatever `-o delete` says, journalled as a promise: it is carried out
 * after a restart too. `done` may be NULL; it cannot be cancelled. */
void mover_remove_now(struct mover *mover, const struct folder *folder, uint32_t uidvalidity,
	uint32_t uid, engine_done_fn done, void *user);

/* ---- names.c: names that were given ---- */

struct names *names_new(struct engine *engine);
void names_free(struct names *names);
/* Journalled; NULL = forgotten. `done` may be NULL. The caller tells of the listing. */
void names_set(struct names *names, const char *folder, uint32_t uidvalidity, uint32_t uid,
	const char *name, engine_done_fn done, void *user);

/* ---- folder_change.c ---- */

void folder_change_free(gpointer change); /* of engine->folder_changes */

/* ---- outbox.c ---- */

struct outbox *outbox_new(struct engine *engine);
void outbox_free(struct outbox *outbox);
void outbox_start(struct outbox *outbox); /* reads the journal */
void outbox_online(struct outbox *outbox);
/* Sends what waits, at once. True: nothing is under way or about to be sent. Ask again. */
bool outbox_flush(struct outbox *outbox);
void outbox_each(struct outbox *outbox, engine_pending_fn fn, void *user);
bool outbox_retry(struct outbox *outbox, uint64_t id); /* 0 = all; false: none of that id */
bool outbox_discard(struct outbox *outbox, uint64_t id);
/* The message is being replaced by a draft, or may be one that is being uploaded. */
bool outbox_hides(struct outbox *outbox, const struct folder *folder, uint32_t uid);
/* A sync has put this message into a mailbox that is shown, and will tell of the listing. */
void outbox_message_came(struct engine *engine, const struct folder *folder, uint32_t uidvalidity,
	uint32_t uid);
/* A folder was renamed by us, and what is below it: the journal's rows follow already. */
void outbox_folder_renamed(struct engine *engine, const char *from, const char *to, char delimiter);
