/* SPDX-License-Identifier: MIT */
/* What the two halves of the pool share: pool.c places jobs, pool_session.c keeps sessions. Loop
 * thread. */
#pragma once

#include "base/backoff.h"
#include "engine/pool.h"

enum session_state { SESSION_DIALLING, SESSION_READY, SESSION_CLOSING };

struct pool_session;

/* What a session listens to, pool_watch.c. */
struct pool_watch {
	struct pool_session *ps;
	mailfs_ticket ticket; /* 0 = none is under way */
	char *folder;         /* NULL = the account */
	bool is_begun, is_cancelled;
	int64_t asked_us, begun_us;
};

struct pool_session {
	struct pool *pool; /* not to be used once it was removed from there */
	const struct mailfs_backend *backend;
	struct mailfs_session *session;
	enum session_state state;
	char *folder; /* selected, or about to be */
	unsigned weight;
	struct pool_job ahead; /* its folder is opened before there is work for it */
	unsigned measured; /* part of `weight`: of jobs whose bytes are known */
	uint64_t bytes;   /* of background work, on their way */
	uint64_t budget;  /* for them; pool_pace.c */
	int64_t quickest_us; /* background job so far */
	int64_t since_us;
	int64_t dying_until_us; /* a request of it was lost: its `dead` is on the way */
	struct mailfs_traffic traffic; /* when it was last looked at */
	/* pool_watch.c */
	struct pool_watch account, idle;
	bool is_faithful;       /* `folder` was watched since it was selected */
	bool is_asked;          /* for a sign of life */
	bool was_stuck;         /* it ended while it should have begun to idle */
	int64_t watch_rest_us;
	int64_t quiet_us;       /* since when it has no job */

	bool is_spare;    /* sent away from a folder, while another one stays: no loss */
	bool is_retiring; /* compressed and should not be, or barred: takes no more jobs, then it is closed */
};

/* What the sessions receive together, while bodies are under way. */
struct pool_meter {
	guint timer; /* 0: nothing was under way lately */
	unsigned busy, syncs; /* jobs started; those that are no bodies */
	bool is_void;         /* reset by each look */
	int64_t look_us, idle_since_us;
	int64_t idle_us;      /* since the last look, reset by it */
};

struct pool {
	struct pool_config config;
	struct pool_events events;
	void *user;

	GPtrArray *sessions; /* struct pool_session * */
	GPtrArray *corpses;  /* the same, to be freed from the loop */
	GQueue waiting[POOL_PRIORITIES];
	enum engine_state state;
	bool is_held;
	bool is_warming; /* pool_warm() was called; over when nothing more may be dialled */
	char *warm_folder; /* for which it was called last */
	const struct pool_job *vacating; /* waits for its folder to be left, or runs; NULL = none */
	int64_t let_in_until_us; /* a login was let in lately: so will others be */

	unsigned limit; /* connections; shrinks when the server refuses more */
	int64_t grow_at_us;
	int64_t extra_not_before_us; /* no second, third … session before that */
	struct pool_meter meter;
	struct backoff dials;  /* that failed in a row */
	struct backoff deaths; /* of sessions that hardly lived, in a row */
	bool is_kickable;      /* the last failure was none that wants to be left alone */
	bool wants_rest;       /* the last failure was the server's own wish for it */
	unsigned losses;
	int64_t last_dial_us;
	int64_t retry_at_us;
	guint retry_timer;
	guint run_source, corpse_source, look_timer;
	bool is_exclusive;          /* MAILFS_TRAIT_EXCLUSIVE */
	int64_t login_not_before_us; /* the server wants that time between two logins */
	guint rest_timer;           /* the session has nothing to do */

	bool is_barred;
	guint bar_timer;     /* until it, what is under way may end */
	guint presume_timer; /* of the first session's dial */

	/* pool_watch.c */
	bool wants_account, wants_idle;
	char **plan;          /* folders to watch, NULL-terminated */
	unsigned renew_s;
	unsigned short_watches; /* in a row */
	unsigned mute_idles;    /* in a row: lost before they began */
	int64_t mute_us;        /* the last one */
	int64_t drop_us;      /* the last one that was cut; 0 = never */
	struct backoff drops; /* of sessions that watched */
	int64_t watch_dial_us; /* no session for watching before that */
	guint watch_timer;
	int64_t lag_us;       /* CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC by so much */

	bool is_stopping;
	guint stop_timer;
	void (*stopped)(void *user);
	void *stopped_user;
};

/* ---- pool.c ---- */

/* Everything is decided in a run of its own, from the loop, soon. */
void pool_schedule(struct pool *pool);
void pool_fail_waiting(struct pool *pool, const GError *error);

bool pool_may_dial(struct pool *pool);
/* ---- pool_vacate.c ---- */

/* Nobody may open this folder now. */
bool pool_is_vacated(const struct pool *pool, const char *folder);
/* The job may start on this session: no other has the folder open. Else they are sent away. */
bool pool_vacate(struct pool *pool, const struct pool_session *keep, const struct pool_job *job);

/* A job that is in no queue. */
void pool_start_job(struct pool *pool, struct pool_session *ps, struct pool_job *job);
/* Not closing, not dying. */
bool pool_session_is_usable(const struct pool_session *ps, int64_t now);

/* ---- pool_watch.c ---- */

void pool_watch_init(struct pool *pool);
void pool_watch_done(struct pool *pool);
/* Sessions that have nothing to do begin to watch; those that should not any more end. */
void pool_watch_run(struct pool *pool);
/* It was told to idle and has not begun: what is sent there now waits for that (CN-1). */
bool pool_watch_is_stuck(const struct pool_session *ps, int64_t now);
/* The session is about to have another folder selected. */
void pool_watch_leaves(struct pool_session *ps);
/* A session died; `ps` is still as it was. */
void pool_watch_lost(struct pool *pool, const struct pool_session *ps);

/* ---- pool_meter.c ---- */

/* A job was started, is over. */
void pool_meter_begin(struct pool *pool, const struct pool_job *job);
void pool_meter_end(struct pool *pool, const struct pool_job *job);
/* Closes sessions that should not be compressed, as they become idle. */
void pool_retire(struct pool *pool);
/* The sessions are to be as the link wants them now. */
void pool_link_apply(struct pool *pool);
/* A session failed: because of its compression? */
void pool_link_judge(struct pool *pool, const struct pool_session *ps, const GError *error);

/* ---- pool_pace.c ---- */

void pace_init(struct pool_session *ps);
bool pace_allows(const struct pool_session *ps, const struct pool_job *job);
/* How busy the session is; 2 for each unit of weight. */
unsigned pace_cost(const struct pool_session *ps, const struct pool_job *job);
void pace_started(struct pool_session *ps, struct pool_job *job);
void pace_ended(struct pool_session *ps, const struct pool_job *job, bool is_good);

/* ---- pool_bar.c ---- */

/* A first session is being dialled: after a while without an answer nobody waits for it. */
void pool_presume_later(struct pool *pool);
/* Dials that wait for a first byte make room for a new one, but those that have just begun. */
void pool_drop_deaf(struct pool *pool);
/* Sessions that are idle are closed: all while it is barred, else those that retire. */
void pool_bar_retire(struct pool *pool);

/* ---- pool_session.c ---- */

void pool_session_close(struct pool_session *ps);
/* Of exclusive sessions: there is nothing to do for one, and has not been for a while. */
void pool_rest(struct pool *pool);

void pool_dial(struct pool *pool);
void pool_session_free(gpointer session);
unsigned pool_count(const struct pool *pool, enum session_state state);
void pool_set_state(struct pool *pool, enum engine_state state);
void pool_retry_in(struct pool *pool, unsigned ms);
