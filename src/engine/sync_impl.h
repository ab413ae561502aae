/* SPDX-License-Identifier: MIT */
/*
 * What the files of the syncer share: syncer.c says how it works. Loop thread. One struct sync per
 * folder that was opened; a run is one question to the server and what comes of it.
 */
#pragma once

#include "engine/internal.h"
#include "engine/keys.h"

struct sync_waiter;

struct uid_range {
	uint32_t first, last;
};

struct sync {
	struct engine *engine;
	struct folder *folder; /* NULL: it went while a request was under way */
	GQueue waiters;
	unsigned serial; /* of the last run that began */
	struct keys *keys; /* of a backend with keys; else NULL */

	/* unload.c */
	GList loaded_link;
	size_t loaded_bytes; /* as counted when it was used last; 0 = not in the queue */
	bool is_unloaded;    /* it left memory; then it held: */
	uint32_t unloaded_count;
	uint64_t unloaded_modseq;

	struct mailbox *preloaded; /* read before anybody asked; NULL = not */
	bool is_loading;
	bool was_loaded;   /* the index was asked in this process */
	bool is_known;     /* folder->box is a whole listing */
	bool had_box;      /* of another UIDVALIDITY, before this one */
	bool want_sweep;   /* known, but some rows lack what this mount needs */
	bool is_behind;    /* something came to the folder since the last run: no index will do */
	bool is_in_use;
	bool run_again;
	bool is_running;
	bool catches_up;   /* `started` waits for it */
	unsigned tries;
	int64_t synced_us; /* last success; 0 = never in this process */
	uint32_t uid_max;  /* highest UID at the last success: what came later may have holes */
	unsigned losses;   /* without UIDVALIDITY: pool_losses() when folder->box was made */

	int64_t used_us;   /* last opening; 0 = never */
	uint32_t uidnext;  /* of the server, at the last success; 0 = not told */

	/* STATUS, as it was told last */
	bool has_status;
	uint32_t status_messages, status_uidvalidity, status_unseen, status_uidnext;
	uint64_t status_modseq;
	int64_t status_us;
	uint32_t moot_status; /* hash of one that promised news where there were none */
	/* What it was when the run began; when the last good one began. */
	uint32_t asked_status, base_status; /* hashes; 0 = none */

	/* one run */
	struct pool_job job;
	struct mailbox *target; /* folder->box, or a new one (is_new_box) */
	bool is_new_box;
	bool is_delta;
	bool has_new;
	bool is_late; /* a message came that should have been listed already */
	uint32_t state_uidnext;
	struct mailfs_sync_result result;
	struct store_batch *batch;
	unsigned batch_rows;
	GArray *mentioned; /* uint32_t, of a full listing; sorted at the end */
	GArray *unknown;   /* uint32_t, named without being described so far */
	GArray *vanished;  /* struct uid_range */
	guint vanished_kept; /* after the last merge */
	GArray *revived;   /* uint32_t, described after they vanished */
	GArray *gone;      /* uint32_t, ascending */
	GArray *retold;    /* uint32_t, of a first sweep: told once more, otherwise */
};

enum who { WHO_INDEX, WHO_SERVED, WHO_COMING, WHO_ALL };

static inline struct sync *sync_of_job(struct pool_job *job)
{
	return (struct sync *)((char *)job - G_STRUCT_OFFSET(struct sync, job));
}

/* ---- sync_wait.c: who waits ---- */

/* `wants_sync`: for the server's answer (of a run that has not begun yet), not only for the index. */
engine_ticket sync_wait(struct sync *sync, bool wants_sync, engine_done_fn done, void *user);
/* The waiter, if there is one, takes a listing that has got beyond the UID `above`, too. */
void sync_take_coming(struct engine *engine, engine_ticket ticket, uint32_t above);
/* Somebody waits for the server. */
bool sync_is_awaited(const struct sync *sync);
/* WHO_SERVED: the next run has begun, those who waited for the one before are due. WHO_COMING: those
 * who want to list what has come so far. */
void sync_answer(struct sync *sync, enum who who, const GError *error);

/* ---- sync_status.c: what is still true without asking ---- */

/* The last sync is too long ago for an opendir. */
bool sync_is_stale(const struct sync *sync);
/* All that the last STATUS told, in a number; 0 = there was none. */
uint32_t sync_status_hash(const struct sync *sync);

/* ---- syncer.c ---- */

/* `started` need not wait for it any longer. */
void sync_caught_up(struct sync *sync);
void sync_free(struct sync *sync);

/* ---- unload.c: what leaves memory ---- */

/* Its mailbox was put in place, used, or has changed. */
void unload_note_use(struct sync *sync);
/* Its mailbox is not (or no more) in place. */
void unload_forget(struct sync *sync);

/* Its first sweep is over: rows on their way to the index took much more memory than what stays, and
 * it lies in pieces that the allocator would keep. */
void unload_trim_later(struct sync *sync);

/* ---- sync_run.c: one run ---- */

/* A run now, or after the one that is under way, or when the index has answered. */
void sync_want_run(struct sync *sync);
void sync_run(struct sync *sync);
bool sync_may_retry(struct sync *sync, const GError *error);
void sync_run_free(struct sync *sync);

/* ---- sync_take.c: what the server tells of messages (struct mailfs_sync_request) ---- */

/* mailfs_key_fn: allots what is new; finds what is known. */
uint32_t sync_uid_of_key(void *user, const char *key, unsigned *ret_wanted);
/* What is kept for good is in the mailbox, whatever the index has lost (engine/vault.h). */
void sync_restore_kept(struct sync *sync);
void sync_put_bits(struct sync *sync, const struct message *message); /* its row, anew */
uint32_t sync_find_key(void *user, const char *key, unsigned *ret_wanted);
void sync_on_messages(void *user, const struct mailfs_message_info *infos, size_t count);
void sync_on_uids(void *user, const uint32_t *uids, size_t count);
void sync_on_complete(void *user, uint32_t last);
struct store_batch *sync_batch(struct sync *sync); /* of rows for the index */
void sync_commit_rows(struct sync *sync);

/* ---- sync_gone.c: what is gone ---- */

void sync_note_vanished(void *user, uint32_t first, uint32_t last);
void sync_find_gone(struct sync *sync);
/* What is gone from the server and whole here stays (P3-6). */
void sync_keep_vanished(struct sync *sync);
void sync_forget_gone(struct sync *sync);
/* The server named messages and never described them, and they are not gone either. */
bool sync_has_holes(const struct sync *sync);
/* Asks a second time, then finishes or ends the run. */
void sync_confirm(struct sync *sync);

/* ---- sync_end.c: the end of a run ---- */

/* The run failed, but what it has told of messages is true: it is shown, and it is in the index
 * before any later state is. The next run begins where the last good one ended. */
void sync_keep_what_came(struct sync *sync);
void sync_finish(struct sync *sync); /* it was good */
void sync_end(struct sync *sync, const GError *error);
