/* SPDX-License-Identifier: MIT */
/*
 * One account: folders, messages and bodies from the store and from sessions of a backend, kept up
 * to date. It knows neither FUSE nor the protocol. Loop thread only; nothing blocks.
 *
 * Requests answer exactly once through their callback: at once (from inside the call) when memory
 * knows the answer, else from the loop. A ticket of 0 means that it was answered already;
 * engine_cancel() makes sure that the callback does not come.
 *
 * Changes that nobody asked for are told through struct engine_events, from the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/backend.h"
#include "model/tree.h"
#include "store/body.h"
#include "store/store.h"

struct engine;
struct journal;

/* The file name of a message, to be stored for ever: writes it to `name` (256 bytes) and returns
 * its hash, never 0. */
typedef uint32_t (*engine_name_fn)(void *user, uint32_t uid, int64_t date,
	const struct mailfs_head *head, char *name);

/* What rm does. */
enum engine_delete { ENGINE_DELETE_TRASH, ENGINE_DELETE_EXPUNGE, ENGINE_DELETE_NO };

struct engine_config {
	const struct mailfs_backend *backend;
	struct mailfs_backend_config server; /* strings are borrowed for the engine's life */
	const char *account;                 /* for messages to people */
	const char *identity;                /* scheme://user@host:port */
	struct store *store;                 /* borrowed */
	tree_component_fn component;
	engine_name_fn name;   /* NULL: names are not stored (name=uid) */
	void *name_user;
	unsigned connections;  /* at most */
	unsigned poll_seconds; /* look for changes; 0 = only on request */
	bool auto_compress;    /* as the measured link wants it; else server.want_compress says */
	bool no_prefetch;    /* do not fetch ahead of who walks through a folder */
	/* Changes, see engine/changes.h. */
	bool is_read_only;       /* as server.is_read_only: nothing is ever changed */
	struct journal *journal; /* borrowed; NULL with is_read_only: no names, nothing pending */
	enum engine_delete delete_mode;
	bool keeps_vanished;     /* of messages with keys: what the server has no more stays if it is here */
	/* What is stored for good (engine/vault.h) is deleted from the server, after so many days. */
	bool clears_server;
	unsigned clears_after_days;
	bool is_flags_sync;      /* a change of flags answers when the server has confirmed it */
	bool confirms_each;      /* no bursts: every move and removal waits for the server */
	unsigned upload_delay_ms; /* after the last close of a new file */
	bool delay_connect;    /* the start does not wait for the server, though the cache be empty */
	size_t loaded_max;     /* bytes of messages in memory, as far as they are not used; 0 = 64 MiB */
};

enum engine_state {
	ENGINE_CONNECTING, /* nothing is known yet, or a lost connection is being replaced */
	ENGINE_ONLINE,
	ENGINE_OFFLINE,       /* the last try failed; the next one comes by itself */
	ENGINE_LOGIN_REFUSED, /* no further try of this password or token, but by engine_go_online() */
	ENGINE_STOPPED,
};

/* What programs that watch want to hear of: listings that are shown already and become others. */
enum engine_news_kind {
	ENGINE_NEWS_MESSAGE,  /* has come; before the listing_changed that shows it */
	ENGINE_NEWS_EXPUNGED, /* still in the index, not in the mailbox */
	ENGINE_NEWS_FLAGS,
	ENGINE_NEWS_FOLDER,   /* has come */
	ENGINE_NEWS_FOLDER_GONE,  /* about to be forgotten, its parents not */
	ENGINE_NEWS_FOLDER_RESET, /* another UIDVALIDITY: all its messages are others */
};

struct engine_news {
	enum engine_news_kind kind;
	const struct folder *folder;
	uint32_t uid;     /* 0: of a folder */
	const char *name; /* of the view, where it was just made; NULL = see the index */
	bool is_own;      /* this mount did it: whoever did saw it happen */
};

struct engine_events {
	/* The first listing is there (error NULL), or it failed. Once. With a warm cache and a server
	 * that is away: NULL, and engine_state() says so. */
	void (*started)(void *user, const GError *error);
	/* `folder->generation` has risen: other messages or subfolders than before. */
	void (*listing_changed)(void *user, const struct folder *folder);
	/* Attributes (flags, size) of a message are other than before. */
	void (*message_changed)(void *user, const struct folder *folder, uint32_t uid);
	/* The size is another one than was claimed before; message_changed comes next. NULL = nobody
	 * wants to know. */
	void (*message_resized)(void *user, const struct folder *folder, uint32_t uid);
	/* Bytes that were read of it before do not belong to those that come now (the server sends
	 * another version each time): whoever keeps some forgets them. NULL = nobody does. */
	void (*message_bytes_changed)(void *user, const struct folder *folder, uint32_t uid);
	/* All of a message was fetched ahead of somebody who walks through the folder, and has the size
	 * that was claimed; it is the nth of its request. True: whoever reads it may have it from
	 * elsewhere now, and not ask here; engine_note_open() tells of it. NULL = nobody keeps any. */
	bool (*message_came)(void *user, const struct folder *folder, uint32_t uid, unsigned nth,
		GBytes *bytes);
	/* The message is no more. The folder's listing_changed comes too, after a batch of these. */
	void (*message_gone)(void *user, const struct folder *folder, uint32_t uid);
	/* The folder is not listed any more: folder_gone will come. Its bodies are in the index still, and
	 * can be held. NULL = nobody wants to. */
	void (*folder_going)(void *user, const struct folder *folder);
	/* The folder is about to be forgotten, and what is below it; where it was, `listing_changed`
	 * comes too. Its parent is NULL if that went first. NULL = nobody wants to know. */
	void (*folder_gone)(void *user, const struct folder *folder);
	/* The mailbox `box_id`, still at the folder, is about to be forgotten with all its messages
	 * (UIDVALIDITY changed). */
	void (*box_gone)(void *user, const struct folder *folder, uint32_t box_id);
	void (*state_changed)(void *user, enum engine_state state);
	/* For streams of events and the like; many at once are possible. Nothing may be called back. NULL =
	 * nobody wants to know. */
	void (*news)(void *user, const struct engine_news *news);
	/* A question: is something of the folder open, so that its messages must stay in memory?
	 * NULL = nothing ever is. A folder that left memory comes back by engine_open_folder(). */
	bool (*is_in_use)(void *user, const struct folder *folder);
};

struct engine *engine_new(const struct engine_config *config, const struct engine_events *events,
	void *user);
/* Dials, logs in, lists; then `started`. */
void engine_start(struct engine *engine);
/* Ends all requests (CANCELLED), logs out, at most 2 s; then `stopped`, and the engine may be
 * freed. */
void engine_stop(struct engine *engine, void (*stopped)(void *user), void *user);
void engine_free(struct engine *engine);

enum engine_state engine_state(const struct engine *engine);

/* No connection and no try to make one until engine_go_online(). What is under way has 2 s. */
void engine_go_offline(struct engine *engine);
/* Connects at once, whatever was before: also after a refused login, with the same password. */
void engine_go_online(struct engine *engine);
bool engine_is_offline_by_request(const struct engine *engine);
/* Routes or addresses of this machine are others: a good time to try again. */
void engine_network_changed(struct engine *engine);

struct tree *engine_tree(struct engine *engine);

typedef uint64_t engine_ticket;
typedef void (*engine_done_fn)(void *user, const GError *error);
void engine_cancel(struct engine *engine, engine_ticket ticket);

/* The folder's messages are loaded (folder->box is set, unless it is NOSELECT). A folder that the
 * index knows answers without the network. */
engine_ticket engine_open_folder(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user);
/* The same, for who lists it: a first listing that is on its way (folder->coming) will do as soon as
 * it has got beyond the UID `above`. */
engine_ticket engine_open_listing(struct engine *engine, struct folder *folder, uint32_t above,
	engine_done_fn done, void *user);
/* Looks at the server now, at all folders in use (NULL) or at one; answers when it has. Also tries
 * to connect at once. */
engine_ticket engine_refresh(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user);

/* A body's bytes from `range.offset` on, at most range.len; none only at the end of the message,
 * which may come before the size that was claimed. */
engine_ticket engine_read(struct engine *engine, uint32_t box_id, uint32_t uid,
	struct mailfs_range range, body_read_fn done, void *user);
/* Somebody opened the message, and may read it elsewhere: what was fetched ahead is used, and the
 * walk goes on. Answers nothing. */
void engine_note_open(struct engine *engine, uint32_t box_id, uint32_t uid);
/* While it is held, a message whose bytes are cached can be read even after it was expunged. */
struct body *engine_hold(struct engine *engine, uint32_t box_id, uint32_t uid);
void engine_release(struct engine *engine, struct body *held);
/* The size of a body that is wholly here; UINT64_MAX: it is not. */
uint64_t engine_held_size(const struct body *held);

/* Reads what is held of a message that is gone; STALE when it is not all here. Cannot be cancelled;
 * may answer from inside. */
void engine_read_held(struct engine *engine, struct body *held, struct mailfs_range range,
	body_read_fn done, void *user);

/* Everything of the folder and of what is below it (NULL: of all) into the cache, in the background;
 * `is_lasting`: and what comes later. Never evicts anything for it. */
void engine_fill(struct engine *engine, const struct folder *folder, bool is_lasting);
/* Bodies leave the cache, all that nobody holds; or are counted, by folder. `done` cannot be cancelled. */
void engine_clear_cache(struct engine *engine, engine_done_fn done, void *user);
void engine_count_cache(struct engine *engine, engine_done_fn done, void *user);

/* From the index; the callbacks cannot be cancelled. See store/store.h. */
void engine_load_names(struct engine *engine, uint32_t box_id, uint32_t after_uid, size_t limit,
	store_names_fn done, void *user);
void engine_load_details(struct engine *engine, uint32_t box_id, uint32_t uid,
	store_details_fn done, void *user);

/* The message's size becomes exact: fetches the body unless it is exact already. */
engine_ticket engine_make_exact(struct engine *engine, uint32_t box_id, uint32_t uid,
	engine_done_fn done, void *user);
/* Sizes are claims that may be wrong: open() must call engine_make_exact(). */
bool engine_is_unproven(const struct engine *engine);

/* Counters for people and tests; strings are borrowed until the next call into the engine. */
struct engine_fill_status {
	const char *state;  /* "off", "running", "paused", "full" or "done" */
	const char *folder; /* its path; NULL = none just now */
	uint64_t total, done; /* messages, of the folders that are known so far */
	uint64_t bytes;       /* fetched */
};
struct engine_status {
	enum engine_state state;
	const char *account, *server, *tls, *auth, *server_id, *server_keeps;
	const char *cache_dir;
	const char *compression; /* on or off, and why */
	unsigned sessions, sessions_max;
	unsigned waiting;        /* requests not yet given to a session */
	uint32_t folders;
	uint32_t folders_loaded;
	uint32_t messages_loaded;
	/* First listings under way: folders, what has come of them, and what there is. */
	uint32_t folders_coming, messages_coming, messages_expected;
	struct store_trust trust;
	struct store_usage cache;
	struct engine_fill_status fill;
	uint64_t ahead_fetched, ahead_used; /* bodies, before somebody asked; of these, read later */
	uint64_t bodies_fetched, body_bytes_fetched;
	uint64_t reads_from_cache, reads_fetched;
	uint64_t bytes_read;  /* of messages, by whoever asked; what the kernel keeps is not asked for */
	uint64_t bytes_saved; /* of these more than was fetched: what the cache has spared the server */
	uint64_t syncs, sweeps;
	uint32_t kept, kept_gone; /* here for good; of these no more on the server */
	uint64_t kept_bytes;
	int64_t online_since, last_sync; /* s since 1970; 0 = never */
	const char *watch;  /* how changes are heard of; NULL = not now */
	int64_t last_check; /* for changes, as above */
	unsigned retry_in_ms;
};
void engine_get_status(struct engine *engine, struct engine_status *ret_status);

/* How far a folder is known. */
struct engine_folder_status {
	/* "unlisted": nobody has looked into it; "listing": for the first time, under way; "complete";
	 * "behind": the server has told of changes; "unloaded": as it was when it was last in memory. */
	const char *state;
	uint32_t known, total; /* messages */
	bool is_in_use;
	struct store_count cache; /* as counted last */
};
void engine_get_folder_status(const struct engine *engine, const struct folder *folder,
	struct engine_folder_status *ret_status);
/* The last refusals and failures, oldest first, printable, secrets removed; at most 100. */
const GPtrArray *engine_reasons(const struct engine *engine); /* char *: "2024-01-02T…Z text" */
void engine_add_reason(struct engine *engine, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
