/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the mover share: mover.c takes requests in, mover_send.c sends them in batches,
 * mover_land.c shows what has moved, mover_resolve.c finds out what became of those whose outcome is
 * unknown. Loop thread.
 *
 * A lane is all that goes from one mailbox to one folder (or for ever away). One batch of a lane is
 * under way at a time.
 */
#pragma once

#include "base/backoff.h"
#include "engine/change_impl.h"

enum move_state {
	MOVE_WRITING, /* not in the journal yet */
	MOVE_QUEUED,  /* in lane->queue */
	MOVE_SENT,    /* in lane->batch */
	MOVE_UNKNOWN, /* in lane->unknown: it may have left or not */
	MOVE_RESOLVING, /* in lane->resolver */
	MOVE_LANDED,  /* it has left for good; in lane->landed: the target is looked at */
	MOVE_LEFT,    /* only the model still has it */
};

struct move {
	struct engine_waiter waiter; /* while `done` is set and can_cancel */
	engine_done_fn done;
	void *user;
	bool can_cancel;
	struct mover *mover; /* NULL: the engine is gone, the journal has not answered */
	struct lane *lane;

	uint64_t id;
	uint32_t uid;
	bool is_promised; /* answered, or about to be, before the server has confirmed */
	char *name;
	char *arrival; /* key in mover->arriving; NULL = not in there */
	uint32_t target_uidvalidity, target_floor, target_uid;
	uint64_t size; /* to know it again; 0 = not known */
	int64_t date;

	enum move_state state;
	bool is_half_done; /* the copy is there, the source is to be removed */
	bool has_left;     /* told by the batch */
	unsigned tries;
};

struct lane {
	struct mover *mover;
	char *key;
	char *folder;
	uint32_t uidvalidity;
	char *target; /* NULL = for ever away */

	GQueue queue;        /* struct move *, to be sent */
	GPtrArray *unknown;  /* likewise, to be found out */
	GPtrArray *landed;   /* likewise, to be shown */
	struct move_batch *batch;
	unsigned writing;    /* at the journal */
	guint timer;         /* collecting, or waiting for the next try */
	unsigned threshold;
	bool is_paused;
	bool is_loading;     /* the source: nothing is sent before it is there */
	struct resolver *resolver; /* NULL = nothing is being found out */
	bool is_landing;
	guint landing; /* of `landed`: those that the look at the target is for */
	struct backoff backoff;

	int64_t burst_until_us; /* moves until then are promised */
	GError *failure; /* of one that was promised: the next call gets it */
};

struct move_batch {
	struct pool_job job;
	struct lane *lane; /* NULL: the mover is gone */
	char *folder, *target;
	bool is_removal; /* of the lane, or of what is half done */
	GPtrArray *moves; /* by UID */
};

struct mover {
	struct engine *engine;
	struct place_map *map; /* UID → struct move * */
	GHashTable *lanes;     /* key → struct lane * */
	GHashTable *writing;   /* struct move * that the journal has not answered */
	GHashTable *arriving;  /* "target\nname" → struct move *: promised, not shown there yet */
	GPtrArray *settlers;   /* struct settler *, see mover_tell.c */
	GPtrArray *drops;      /* struct row_drop *, see mover_land.c */
	unsigned moves;
};

/* ---- mover.c ---- */

extern const struct engine_waiter_class move_waiter_class;
struct lane *mover_lane(struct mover *mover, const char *folder, uint32_t uidvalidity,
	const char *target);
void lane_rekey(struct lane *lane); /* out of the table: back in, under what it is now */
struct place *lane_place(const struct lane *lane);
/* One that may go; its owner fills in whom to tell, then submits it. */
struct move *move_new(struct lane *lane, const struct folder *source, uint32_t uid,
	const char *name);
void move_submit(struct move *move);
void move_answer(struct move *move, const GError *error);
/* Off the journal and out of everything; freed. */
void move_end(struct move *move);
/* It stays where it is: told to whoever waits, or as a reason, and shown again. Ends it. */
void move_refuse(struct move *move, const GError *error);
/* The folder's mailbox must stay in memory. */
bool mover_needs(const struct mover *mover, const struct folder *folder);
/* Something of the lane is over. */
void mover_check_settlers(struct mover *mover);
struct folder *lane_source(const struct lane *lane); /* loaded, of that UIDVALIDITY; else NULL */
struct folder *lane_target(const struct lane *lane); /* NULL also for removals */
/* A promised one is found under its new name from now on (engine_find_arriving), or no more. */
void move_list_arrival(struct move *move);
void move_unlist_arrival(struct move *move);
/* A new row over the one in the journal. */
void move_write(struct move *move, store_done_fn done, void *user);

/* ---- mover_send.c ---- */

void lane_want(struct lane *lane, struct move *move); /* has its row: into the queue */
/* … and it is for the caller to say lane_go(). */
void lane_queue(struct lane *lane, struct move *move);
void lane_go(struct lane *lane, bool is_urgent);
void lane_pause(struct lane *lane);
void move_batch_free(struct move_batch *batch);

/* ---- mover_land.c ---- */

/* Has left the source. */
void lane_land(struct lane *lane, struct move *move);
/* Shows them: at once, or when the target was looked at. Not in the middle of a burst, unless
 * somebody waits. */
void lane_show_landed(struct lane *lane);
void mover_disown_drops(struct mover *mover); /* at the end */
/* Messages of the target that may be the copy: above the floor, same size and date; uint32_t. */
GArray *move_candidates(const struct move *move);

/* ---- mover_tell.c ---- */

bool lane_has_settlers(const struct lane *lane);

/* ---- mover_resolve.c ---- */

void lane_doubt(struct lane *lane, struct move *move); /* its outcome is unknown */
void lane_resolve(struct lane *lane);
void lane_drop_resolver(struct lane *lane);
