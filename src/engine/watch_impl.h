/* SPDX-License-Identifier: MIT */
/*
 * What the files of the watch share. watch.c: who is listened to; watch_dirty.c: from an event to one
 * sync; watch_look.c: asking now and then. Loop thread.
 */
#pragma once

#include "engine/internal.h"

/* A folder in which something happened, or that was looked at. Lives as long as the engine. */
struct interest {
	struct watch *watch;
	char *name; /* wire name */

	/* from an event to a sync */
	bool is_dirty, is_syncing;
	int64_t first_us, due_us; /* of the events that wait */
	int64_t started_us, not_before_us;
	int64_t spacing_us; /* rises while there are many */
	unsigned events;    /* since the last sync */
	int64_t told_us;    /* the last event */

	/* is what it tells all there is? */
	int64_t live_us;     /* it told something by itself; 0 = never */
	bool is_suspect;     /* another way says that there is news: is_dirty, for a check */
	bool is_check;       /* the sync that runs is one */
	uint32_t generation, uid_max; /* when it began */
	unsigned silences;   /* checks that found what was not told, in a row */
	int64_t rest_us;     /* not watched before that */
};

struct watch {
	struct engine *engine;
	bool is_running;
	bool can_idle, can_notify;
	GHashTable *interests; /* name → struct interest */
	GHashTable *plan;      /* names in the plan of the pool; borrowed from interests */

	guint plan_source;
	guint dirty_timer, tree_timer, poll_timer, tick_timer;
	int64_t dirty_due_us;

	/* a look */
	bool is_looking, look_again;
	bool is_check; /* of those that are watched, too */
	bool is_forced, is_thorough; /* something was missed: the next one is thorough; this one is */
	int64_t check_us; /* the last one */
	unsigned slowness; /* refusals in a row: the interval doubles */
	GPtrArray *names;  /* to be asked for STATUS; NULL-terminated while the job runs */
	struct pool_job job;
	int64_t looked_at; /* s since 1970 */

	int64_t notify_rest_us, idle_rest_us; /* not before that */
	GString *text;          /* of the last watch_describe() */
};

/* ---- watch.c ---- */

struct interest *watch_interest(struct watch *watch, const char *name);
/* Its messages are shown, or wanted by those who listen: they are to be up to date. */
bool watch_is_tracked(const struct folder *folder);

/* ---- watch_dirty.c ---- */

/* To be synced soon; many such calls are one sync. */
void watch_dirty(struct watch *watch, const struct folder *folder);
/* The same, of what was found by asking: nothing else is expected to follow. */
void watch_news(struct watch *watch, struct folder *folder);
/* Another way says that there is news, and the watch has not told of it so far: a moment later it is
 * checked, unless it has. */
void watch_suspect(struct watch *watch, const struct folder *folder);
/* Synced now, to see whether the watch tells everything. */
void watch_check(struct watch *watch, struct folder *folder);
void watch_dirty_stop(struct watch *watch);

/* ---- watch_look.c ---- */

void watch_look_start(struct watch *watch); /* the timer */
void watch_look_stop(struct watch *watch);
