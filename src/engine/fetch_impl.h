/* SPDX-License-Identifier: MIT */
/* What the files of the fetcher share: fetcher.c says how it works. Loop thread. */
#pragma once

#include "base/backoff.h"
#include "engine/internal.h"

#define FETCH_WHOLE_MAX     (256u * 1024)      /* up to here one fetch is cheaper than windows */
#define FETCH_WINDOW_FIRST  (128u * 1024)
#define FETCH_WINDOW_MAX    (4u * 1024 * 1024) /* a reader far away wants few round trips */
#define FETCH_PIECE         (1024u * 1024)     /* what a body takes at once */
#define FETCH_OVERLAP       4096u
#define FETCH_IDLE_MAX      64u                 /* kept for the reading position */
#define FETCH_TRIES         2u
#define FETCH_DAMAGE_TRIES  3u

struct batch;

enum ahead { AHEAD_HERE = 1, AHEAD_ELSEWHERE }; /* who reads it asks us; perhaps does not */

enum waiter_kind { WAITER_READ, WAITER_EXACT };

struct fetch_waiter {
	struct engine_waiter waiter;
	struct fetch *fetch;
	enum waiter_kind kind;
	struct mailfs_range range;
	body_read_fn read;
	engine_done_fn done;
	void *user;
	bool is_waiting; /* for the server; else it is served from the cache */
	bool is_served;  /* the disk is being asked for it */
	unsigned damages;
};

/* The disk is being asked. Lives until it answers, whatever happens meanwhile. */
struct disk_read {
	struct fetch *fetch; /* NULL: the fetcher is no more */
	engine_ticket ticket; /* of the reader; 0 = a comparison of our own */
	struct fetch_waiter *waiter; /* while the ticket is valid */
};

/* The part of a window that lies over bytes that are here. */
struct overlap {
	uint64_t offset, len;
};

struct fetch {
	struct fetcher *fetcher;
	uint64_t key;
	uint32_t box_id, uid;
	struct body *body;
	GQueue waiters;
	unsigned held;      /* calls on the stack and disk reads: it may not be freed */
	bool is_advancing, advance_again;
	uint64_t next_offset; /* the end of the last window */
	uint64_t window;

	/* the request under way */
	bool is_busy;
	struct batch *batch; /* it is one of many in a request; NULL = a request of its own */
	bool is_whole;
	bool has_begun, has_ended, is_overlong;
	unsigned losses, tries; /* connections that were lost; other ends that another one may mend */
	struct backoff refusals; /* in a row, by a server that wants to be asked later */
	guint pause_timer;       /* until it is asked again; it is busy meanwhile */
	struct pool_job job;
	char *folder;
	uint32_t uidvalidity;
	struct mailfs_range asked; /* a window with its overlaps */
	struct mailfs_range gap;   /* what is missing of it */
	bool probes_end;           /* asks for one byte more than the size that is claimed */
	uint64_t announced;
	uint64_t stored;           /* whole: bytes given to the body already */
	GByteArray *buffer;
	struct overlap overlaps[2];
	unsigned overlaps_left;
	GQueue nexts; /* struct next, of fetch_next.c: the windows behind that one, in order */
	GChecksum *kept; /* of a message from the vault, as far as it was read; SHA-256 */
	unsigned nth; /* of its batch, if its bytes are to be told of; else 0 */
};

struct fetcher {
	struct engine *engine;
	GHashTable *fetches; /* key → struct fetch */
	GHashTable *reads;   /* struct disk_read, under way */
	GQueue idle;         /* without waiter and request, oldest first */
	GHashTable *batches; /* struct batch, on their way */
	GHashTable *ahead;   /* of messages that were fetched ahead and not read yet: key → enum ahead */
	int64_t calm_until_us; /* the server has had enough: nothing is fetched ahead before that */
};

/* ---- fetcher.c ---- */

struct fetch *fetch_get(struct fetcher *fetcher, uint32_t box_id, uint32_t uid);
/* Serves who can be served, asks the server for the rest. Frees the fetch if nobody wants it and it
 * is not held. */
void fetch_advance(struct fetch *fetch);
void fetch_release(struct fetch *fetch); /* one hold less */
void fetch_rest(struct fetch *fetch);
struct message *fetch_message(const struct fetch *fetch, struct folder **ret_folder);
void fetch_want_exact(struct fetch *fetch);

/* ---- fetch_waiters.c: who waits, and their answers ---- */

/* Waits, with a copy of these values; 0: it was answered at once. */
engine_ticket fetch_enter(struct fetch *fetch, const struct fetch_waiter *values);
/* Answers one who can be; true: there was one. */
bool fetch_serve(struct fetch *fetch);
void fetch_fail_waiters(struct fetch *fetch, const GError *error, bool only_reads);
/* `waiter` NULL: a read of the fetcher's own. */
struct disk_read *disk_read_new(struct fetch *fetch, struct fetch_waiter *waiter);
/* NULL: nobody is there any more. The fetch stays held by the caller. */
struct fetch *disk_read_end(struct disk_read *read);

/* ---- fetch_request.c: one message, one request ---- */

void request_prepare(struct fetch *fetch, const struct folder *folder);
void request_start(struct fetch *fetch);
void request_submit(struct fetch *fetch); /* prepared, to the server */
void request_over(struct fetch *fetch);
/* How it ended; the fetch is held by the caller. */
void request_answered(struct fetch *fetch);
void request_failed(struct fetch *fetch, const GError *error);
/* The server says that it wants to be asked later (CN-3). */
bool request_is_throttled(const GError *error);
void fetcher_calm_down(struct fetcher *fetcher);
/* The next bytes of a body; the end of it. */
void request_begin(struct fetch *fetch, uint64_t size);
void request_data(struct fetch *fetch, const void *bytes, size_t len);
/* A body that came, but cannot be it; NULL = it is good. */
const char *request_fault(const struct fetch *fetch);
void request_take_whole(struct fetch *fetch);
void fetch_give(struct fetch *fetch, uint64_t offset, const void *bytes, size_t len);

/* ---- fetch_kept.c: bytes that are kept for good ---- */

/* False: they are not; the request is the server's. */
bool kept_start(struct fetch *fetch);

/* ---- fetch_size.c: what a counted size means ---- */

/* The size of a message was counted, on fresh bytes or on cached ones (which prove nothing anew).
 * False: it is not what the server claimed. */
bool fetch_note_size(struct fetch *fetch, uint64_t size, bool is_fresh);
void fetch_fail_wrong_size(struct fetch *fetch);
/* The server's size is wrong, and only a whole fetch can tell the right one: it is made at once. */
void fetch_size_is_wrong(struct fetch *fetch);

/* ---- fetch_window.c: a part of a large message ---- */

void window_plan(struct fetch *fetch, uint64_t offset, uint64_t size);
void window_take(struct fetch *fetch); /* compares the overlaps, then gives it to the body */

/* ---- fetch_next.c: the windows behind that one ---- */

/* Somebody waits for the byte at `offset`: if it is in the last window that was asked for, and the
 * reading goes on in sequence, one more is asked for. */
void nexts_ask(struct fetch *fetch, uint64_t offset);
/* The byte at `offset` is on its way in one of them. */
bool nexts_await(const struct fetch *fetch, uint64_t offset);
/* Takes the first one if it has come, as the request that the fetch is busy with. */
bool nexts_take(struct fetch *fetch);
void nexts_spoil(struct fetch *fetch);  /* what comes of them counts for nothing */
void nexts_cancel(struct fetch *fetch); /* what was not sent is not wanted any more */
void nexts_free(struct fetch *fetch);

/* ---- fetch_ahead.c: many messages in one request ---- */

/* A message that was fetched ahead is here, and the size that was claimed is right. */
void ahead_tell(struct fetch *fetch, GBytes *bytes);
/* Somebody waits for a message of the batch. */
void batch_hasten(struct batch *batch);
/* Before the fetcher's fetches are freed. */
void batch_abandon(struct batch *batch);
