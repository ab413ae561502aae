/* SPDX-License-Identifier: MIT */
/* What the parts of the engine share. Loop thread. */
#pragma once

#include "engine/engine.h"
#include "engine/pool.h"

struct sync;    /* syncer.c: one per folder, in folder->engine */
struct prefetch; /* prefetch.c; NULL = off */
struct fetcher; /* fetcher.c */
struct listing; /* listing.c */

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

	struct pool *pool;
	struct tree *tree;
	struct fetcher *fetcher;
	struct prefetch *prefetch;
	struct listing *listing;
	GHashTable *all_syncs; /* struct sync *, all of them */
	GPtrArray *refreshes;  /* struct refresh *, under way */

	GHashTable *waiters; /* ticket → struct engine_waiter * */
	engine_ticket last_ticket;

	bool was_started;      /* `started` was told */
	unsigned catching_up;  /* syncs that `started` waits for */
	guint catch_up_timer;
	guint poll_timer;
	guint pressure_timer; /* set while the network is held back */
	bool is_freeing;
	void (*stopped)(void *user);
	void *stopped_user;

	/* for status */
	GPtrArray *reasons;
	char *server; /* "imaps://me@host:993" */
	char *server_id, *tls, *auth;
	bool can_range;
	uint64_t ahead_fetched, ahead_used;
	uint64_t bodies_fetched, body_bytes_fetched, reads_from_cache, reads_fetched;
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

/* One of the syncs that `started` waits for has ended. */
void engine_caught_up(struct engine *engine);

/* More was handed to the disk than it can take at once? Then the network waits until it has. */
void engine_check_pressure(struct engine *engine);

/* Bytes of the message that were read may not be joined with those that will be. */
void engine_bytes_changed(struct engine *engine, const struct folder *folder, uint32_t uid);

/* The server was caught lying about a size. */
void engine_distrust(struct engine *engine);

/* ---- refresh.c ---- */

/* The folders, then those in use that have changed; nobody waits for it. */
void refresh_relist(struct engine *engine);
void refresh_free(gpointer refresh); /* of engine->refreshes */

/* ---- listing.c: the folders ---- */

struct listing *listing_new(struct engine *engine);
void listing_free(struct listing *listing);
/* Asks the server for its folders. `done` may be NULL; requests made meanwhile share one answer. */
void listing_refresh(struct listing *listing, engine_done_fn done, void *user);
/* The tree from the index, without network. Tells nobody. */
void listing_from_store(struct listing *listing);
uint32_t listing_count(const struct listing *listing);

/* ---- syncer.c: the messages of a folder ---- */

engine_ticket syncer_open(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user);
/* Look at the server; done may be NULL. */
void syncer_sync(struct engine *engine, struct folder *folder, engine_done_fn done, void *user);
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
/* What the server's STATUS told in the last listing. */
void syncer_note_status(struct engine *engine, struct folder *folder,
	const struct mailfs_folder_info *info);

/* ---- fetcher.c: bodies ---- */

struct fetcher *fetcher_new(struct engine *engine);
void fetcher_free(struct fetcher *fetcher);
engine_ticket fetcher_read(struct fetcher *fetcher, uint32_t box_id, uint32_t uid,
	struct mailfs_range range, body_read_fn done, void *user);
engine_ticket fetcher_make_exact(struct fetcher *fetcher, uint32_t box_id, uint32_t uid,
	engine_done_fn done, void *user);
/* Fetch these messages (ascending) in one request, before somebody asks. Those that are here, or
 * asked for already, are left out. */
void fetcher_fetch_ahead(struct fetcher *fetcher, struct folder *folder, const uint32_t *uids,
	size_t count);
