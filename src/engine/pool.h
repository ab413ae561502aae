/* SPDX-License-Identifier: MIT */
/*
 * The connections of an account and who may use them: interactive requests before syncs before
 * background work, a folder's requests where it is selected already. Loop thread.
 *
 * A job is embedded in the struct of whoever wants something done. It is submitted, then either
 * `start`ed on a session (then its owner says pool_done() when the request's `done` came) or
 * `fail`ed, both only from the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "engine/engine.h"
#include "engine/link.h"
#include "mailfs/backend.h"

enum pool_priority { POOL_INTERACTIVE, POOL_SYNC, POOL_BACKGROUND, POOL_PRIORITIES };

#define POOL_WEIGHT_MAX 10u /* of one job; what a session takes before it is done with some of it */

struct pool;
struct pool_session;

struct pool_job {
	enum pool_priority priority;
	unsigned weight;    /* how much it keeps a session busy: a small fetch is 1 */
	uint64_t bytes;     /* of the answer, where a session may have only so many on their way:
			       background work */
	const char *folder; /* wire name, the owner's; NULL = any session will do */
	const char *vacates; /* likewise: no other session has it open meanwhile. NULL = none */
	char vacates_below;  /* the delimiter: nor what is below it; 0 = it alone */
	mailfs_ticket (*start)(struct pool_job *job, struct mailfs_session *session);
	void (*fail)(struct pool_job *job, const GError *error);

	/* the pool's own */
	struct pool_session *session; /* set between start and pool_done() */
	mailfs_ticket ticket;
	GList link; /* in the queue */
	int64_t since_us, started_us;
	bool is_queued;
};

struct pool_events {
	/* A session logged in. */
	void (*ready)(void *user, const struct mailfs_server_info *info);
	/* No session is left, or the first try failed; `error` says why. */
	void (*failed)(void *user, const GError *error);
	void (*state)(void *user, enum engine_state state);
	void (*folder_changed)(void *user, const char *folder);
	void (*folder_status)(void *user, const struct mailfs_status *status);
	void (*tree_changed)(void *user);
	/* The folder (NULL: the account) cannot be watched, or not for long: it is to be left out of the
	 * plan for a while. */
	void (*watch_failed)(void *user, const char *folder, const GError *error);
	void (*reason)(void *user, const char *text);
	/* `link` is other than it was: to be remembered. */
	void (*link)(void *user);
};

struct pool_config {
	const struct mailfs_backend *backend;
	const struct mailfs_backend_config *server;
	unsigned connections;
	struct link *link; /* borrowed: told what was received, asked whether to compress */
};

struct pool *pool_new(const struct pool_config *config, const struct pool_events *events, void *user);
/* Closes all sessions, at most 2 s; jobs that wait or come later fail with CANCELLED. Once. */
void pool_stop(struct pool *pool, void (*stopped)(void *user), void *user);
void pool_free(struct pool *pool);

/* Connect now, whatever the back-off says; also after a refused login. Not while barred. */
void pool_wake(struct pool *pool);
/* The network is another one than before: tries that wait for their time, or for a dial on its old
 * ways, begin anew; but for a server that wants to be left alone. */
void pool_nudge(struct pool *pool);
/* As pool_wake(), and dials that are under way begin anew. */
void pool_restart(struct pool *pool);
/* No session and no try while it is barred: OFFLINE. What is under way may end, for 2 s; what is cut
 * off then ends with CANCELLED, see pool_was_lost(). */
void pool_bar(struct pool *pool, bool is_barred);
bool pool_is_barred(const struct pool *pool);
/* The request ended with its session, not by its owner's wish; another session may do it. */
bool pool_was_lost(const struct pool *pool, const GError *error);
/* Still CONNECTING, and not a byte has come: nobody shall wait for it. OFFLINE, until it is ready. */
void pool_presume_offline(struct pool *pool);
/* A session that is being dialled has heard of the server. */
bool pool_hears(const struct pool *pool);

void pool_submit(struct pool *pool, struct pool_job *job);
/* `error` is what the request ended with; NULL = good. */
void pool_done(struct pool *pool, struct pool_job *job, const GError *error);
/* Not started yet: forgotten, `fail` does not come, returns true. Started: the request is cancelled
 * and its done comes. */
bool pool_cancel(struct pool *pool, struct pool_job *job);
/* The job gets what has no end: its connection ends, and with it all that was asked there (CANCELLED, see
 * pool_was_lost()). */
void pool_end_session(struct pool *pool, const struct pool_job *job);

/* What a job with `vacates` has done is known: the folder may be opened again. A job that is cancelled or
 * fails without having been started needs no such word. */
void pool_vacated(struct pool *pool, const struct pool_job *job);

/* Much work is about to come for this folder: dial what may be dialled, and open it there. */
void pool_warm(struct pool *pool, const char *folder);
/* A job that waits in the background is wanted now. */
void pool_hasten(struct pool *pool, struct pool_job *job);

/* Bytes of background work that all sessions together have on their way, at most. It follows what
 * the line has shown to bring within the patience of whoever comes with something urgent. */
uint64_t pool_appetite(const struct pool *pool);

/*
 * What sessions listen to while nothing else is asked of them, best first; copied. With `is_account`
 * one session hears of everything; else each idles in one of the folders. One connection less than
 * there may be is opened for that.
 */
struct pool_watch_plan {
	bool is_account;
	bool can_idle; /* beside the account, in whatever is open */
	const char *const *folders; /* wire names; NULL-terminated, or NULL */
};
void pool_set_watch_plan(struct pool *pool, const struct pool_watch_plan *plan);
/* Changes of the folder (NULL: of the account) are told by themselves. */
bool pool_is_watched(const struct pool *pool, const char *folder);
/* A session idles in it right now and does nothing else: what it tells, it tells by itself. */
bool pool_is_idle_in(const struct pool *pool, const char *folder);
/* The sessions that have a folder selected are asked what is new in it, unless they idle there; so is
 * the one that watches the account, for servers that have to be woken up. */
void pool_ask_selected(struct pool *pool);
/* The machine slept or moved: sessions show within seconds that they live, or are replaced. */
void pool_probe(struct pool *pool);
/* Did the machine sleep since the last look? Then pool_probe() was called. Cheap. */
bool pool_notice_sleep(struct pool *pool);

/* Back pressure of the disk, on all sessions. */
void pool_hold(struct pool *pool, bool is_held);

enum engine_state pool_state(const struct pool *pool);
/* Some session has this folder (wire name) selected. */
bool pool_has_selected(const struct pool *pool, const char *folder);
bool pool_is_compressed(const struct pool *pool); /* at least one session */
unsigned pool_sessions(const struct pool *pool);
unsigned pool_sessions_max(const struct pool *pool);
unsigned pool_waiting(const struct pool *pool);
/* Sessions that ended, ever, but for those that were sent away from a folder (`vacates`): while it stays
 * the same, no session that was there is gone, or one that was there with it is there still. */
unsigned pool_losses(const struct pool *pool);
unsigned pool_retry_in_ms(const struct pool *pool);
